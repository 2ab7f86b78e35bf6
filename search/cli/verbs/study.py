"""The verbs of a study, and the groups of all others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster.errors import ClusterError
from datasets_spec.errors import RecombineError
from search.cli.console import print_error
from search.cli.verbs.arguments import AcceptLoss, Address, Overrides, RunDirOption, StudyFile, TopUpOption
from search.cli.verbs.bench import bench_app
from search.cli.verbs.data import data_app
from search.cli.verbs.jobs import AllowMismatch, job_app
from search.cli.verbs.results import results_app

app = typer.Typer(
    name="recombine",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Which of your datasets to train a medical vision-language model on, for a target you have little data for.",
)
phantom_app = typer.Typer(no_args_is_help=True, help="The embedded phantom corpus and its tiny backbone.")
app.add_typer(data_app, name="data")
app.add_typer(phantom_app, name="phantom")
design_app = typer.Typer(no_args_is_help=True, help="The papers' controlled experiments, and what is published.")
app.add_typer(design_app, name="design")
app.add_typer(bench_app, name="bench")
app.add_typer(job_app)
app.add_typer(results_app)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder to create the study in")],
    template: Annotated[str, typer.Option(help="phantom | phantom-designs | one-gpu | cluster")] = "phantom",
) -> None:
    """Write a commented study file to start from (with `phantom`, also the corpus, ready to run)."""
    from search.cli.init import write_study

    write_study(folder, template)


@app.command()
def plan(
    study: StudyFile,
    overrides: Overrides = None,
    run_dir: RunDirOption = None,
    detect: Annotated[
        float | None, typer.Option(min=0.1, max=100, help="points: say what it takes to see this difference")
    ] = None,
) -> None:
    """Show trials, samples, time, disk, and the differences that a study can see; launches nothing."""
    from search.cli.plan import show_plan

    show_plan(study, overrides or [], run_dir, detect)


@app.command()
def run(
    study: StudyFile,
    overrides: Overrides = None,
    run_dir: RunDirOption = None,
    address: Address = None,
    accept_loss: AcceptLoss = False,
    allow_mismatch: AllowMismatch = False,
    topup: TopUpOption = False,
) -> None:
    """Run a study; the same command resumes it."""
    from search.cli.run import run_command

    options = {"accept_loss": accept_loss, "allow_mismatch": allow_mismatch, "with_top_up": topup}
    raise typer.Exit(run_command(study, overrides or [], run_dir, address, **options))


@app.command()
def report(
    study: StudyFile,
    overrides: Overrides = None,
    run_dir: RunDirOption = None,
    summary: Annotated[
        Path | None,
        typer.Option("--summary", help="also write the run in a few numbers to this JSON file, to quote it"),
    ] = None,
    flat: Annotated[
        bool, typer.Option("--flat", help="also write report/flat.html, a page without scripts, for mail and archives")
    ] = False,
) -> None:
    """Write tables, selection and the HTML report again, from the ledger."""
    from search.cli.results.report import report_command

    report_command(study, overrides or [], run_dir, summary, is_flat=flat)


@app.command()
def explain(
    study: StudyFile,
    overrides: Overrides = None,
    run_dir: RunDirOption = None,
    also: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="another study of the same data whose trials count too")
    ] = None,
    new: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="modality/area/task[/ability] of a dataset not in the study")
    ] = None,
    sharpen: Annotated[
        str | None, typer.Option(metavar="EFFECT", help="a subset or an element: say which trials to run for it")
    ] = None,
    num_trials: Annotated[int | None, typer.Option(min=1, help="trials that may be spent on that; default: 6")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show what each subset, pair and element is worth, and what another dataset would bring; needs no cluster."""
    from search.cli.results.explain import explain_study

    explain_study(
        study,
        overrides or [],
        run_dir,
        also=also or [],
        new=new or [],
        sharpen=sharpen,
        num_trials=num_trials,
        as_json=as_json,
    )


@app.command()
def doctor(
    address: Annotated[str | None, typer.Option("--address", help="also check this cluster")] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="where studies will be, as the cluster sees it; default: this folder")
    ] = None,
) -> None:
    """Check this machine (and a cluster): versions, processors, memory, disk, Ray, token."""
    from search.cli.doctor import show_doctor

    raise typer.Exit(show_doctor(address, directory))


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder of the demo")] = Path("demo"),
) -> None:
    """Build the phantom corpus and run a real search on it, from study file to report."""
    from search.cli.demo import run_demo

    raise typer.Exit(run_demo(folder))


@phantom_app.command("write")
def phantom_write(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    subset: Annotated[list[str] | None, typer.Option(help="only these subsets; default: all")] = None,
    seed: int = 0,
    num_pool: Annotated[int, typer.Option(help="rows of a subset that are divided into splits")] = 400,
    num_test: Annotated[int, typer.Option(help="rows of its published test file")] = 300,
) -> None:
    """Write the phantom corpus in Med-MAT's and Med-MIM's file formats."""
    from search.cli.phantom import write_corpus

    write_corpus(folder, subset, seed, num_pool, num_test)


@phantom_app.command("build-base")
def phantom_build_base(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    seed: int = 0,
    num_threads: Annotated[int, typer.Option(help="torch threads")] = 1,
) -> None:
    """Train the phantom backbone from scratch; writes checkpoint, seed, time and accuracies."""
    from search.cli.phantom import build_base_model

    build_base_model(folder, seed, num_threads)


@phantom_app.command("evidence")
def phantom_evidence(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="results; the same command goes on with them")],
    base: Annotated[
        list[Path] | None, typer.Option(help="backbones; default: the shipped one and two built in DIR")
    ] = None,
    num_seeds: Annotated[int, typer.Option(min=1, help="fine-tune seeds of every arm on every base")] = 3,
    num_table_seeds: Annotated[int, typer.Option(min=0, help="seeds of all 255 compositions; 0 leaves them out")] = 1,
    num_workers: Annotated[int, typer.Option(min=1, help="processes, one core each")] = 2,
) -> None:
    """Measure what related sources add on the phantom, and write its table and figure (hours on few cores)."""
    from search.cli.phantom import measure_evidence

    measure_evidence(folder, base or [], num_seeds=num_seeds, num_table_seeds=num_table_seeds, num_workers=num_workers)


@design_app.command("list")
def design_list() -> None:
    """Show the kinds of designs and what each asks."""
    from search.cli.design import list_designs

    list_designs()


@design_app.command("rows")
def design_rows(study: StudyFile, overrides: Overrides = None) -> None:
    """Show the rows and arms of a study's design; launches nothing."""
    from search.cli.design import show_rows

    show_rows(study, overrides or [])


@design_app.command("published")
def design_published(
    factor: Annotated[int, typer.Option(min=1, help="multiply the inferred numbers of questions by this")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Judge Med-MAT's published controlled table again: which rows pass a test, alone and together."""
    from search.cli.design import show_published

    show_published(as_json=as_json, factor=factor)


def main() -> None:
    """Run the command line; user errors end with one message and exit code 2, without a traceback."""
    try:
        app(standalone_mode=True)
    except (RecombineError, ClusterError) as error:
        print_error(error)
        sys.exit(error.exit_code)
    except (FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        print_error(error)  # a path that the user gave
        sys.exit(2)
