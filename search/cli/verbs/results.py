"""The verbs of what a study found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

results_app = typer.Typer()

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="the study directory")]


@results_app.command()
def status(
    run: RunArgument,
    watch: Annotated[bool, typer.Option("--watch", help="one screen that is renewed until the study ends")] = False,
    require_end: Annotated[
        bool, typer.Option("--require-end", help="for scripts: one line; exit code 0 only if the study has ended")
    ] = False,
) -> None:
    """Show how far a study is, its best trials and its failures; needs no cluster."""
    from search.cli import status as shown
    from search.cli.results.watch import watch_status
    from search.study.run_dir import RunDir

    if require_end:
        raise typer.Exit(shown.require_end(RunDir(run)))
    if watch:
        watch_status(RunDir(run))
    else:
        shown.show_status(RunDir(run))


@results_app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="study directories, two or more")],
) -> None:
    """Show studies beside each other: settings that differ, selections, figures."""
    from search.cli.results.compare import compare_command

    compare_command(runs)


@results_app.command()
def export(
    run: RunArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="new folder to write to")],
    trainer: Annotated[str, typer.Option("--for", help="llama-factory | ms-swift | axolotl | trl | hf")],
    store: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="the prepared data (a folder or s3://), if no longer where they were"),
    ] = None,
) -> None:
    """Write a finished study's selection for a trainer to train: rows, images, settings, adapter and cards.

    Rows alone, of any mix.yaml and also for LLaVA, writes `recombine data export STUDY DIR`.
    """
    from search.cli.results.export import export_command

    export_command(run, folder, trainer, store)


@results_app.command()
def predict(
    run: RunArgument,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="picture files, in order")],
    question: Annotated[str, typer.Option(help="what is asked about them")],
    options: Annotated[
        list[str] | None, typer.Option("--options", metavar="TEXT", help="an option, once for each; none: in words")
    ] = None,
) -> None:
    """Ask the selected fine-tune one question about images of your own; for research, not for care."""
    from search.cli.results.predict import predict_command

    predict_command(run, images, question, options or [])


@results_app.command()
def verify(run: RunArgument) -> None:
    """Check a study directory: every file's hash, and every number computed again from the stored answers.

    Exit code 1 if something is wrong; each problem names its file. Needs neither the data nor a cluster.
    """
    from search.cli.results.verify import verify_command

    raise typer.Exit(verify_command(run))
