"""`recombine bench ...`: what is measured on tables and in worlds whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

bench_app = typer.Typer(no_args_is_help=True, help="Strategies replayed on tables whose truth is known.")


@bench_app.command("honesty")
def bench_honesty(
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            help="signal, null, power, patients, few-patients, uneven-patients, two-kinds-of-patients, "
            "compared-patients, design-shared-control, design-shared-training, matrix-null, matrix-signal or "
            "matrix-uneven; default: all"
        ),
    ] = None,
    num_campaigns: Annotated[int, typer.Option(min=2, help="campaigns, matrices, designs ... of each scenario")] = 500,
    seed: int = 0,
    num_finalists: Annotated[int, typer.Option(min=1, help="confirm.num_finalists of the campaigns")] = 2,
    num_seeds: Annotated[int, typer.Option(min=2, help="seeds of their confirmation")] = 2,
    num_further: Annotated[int, typer.Option(min=0, help="further seeds of what was chosen")] = 0,
    racing: Annotated[bool, typer.Option("--racing", help="confirm.racing of the campaigns")] = False,
    difference: Annotated[
        float | None, typer.Option(help="points at which power is measured; default: what reports state")
    ] = None,
    num_patients: Annotated[
        list[int] | None, typer.Option(min=3, help="of each target in worlds of few patients; default: 3 to 40")
    ] = None,
    num_workers: Annotated[int, typer.Option(min=1, help="processes, one core each")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """Simulate whole campaigns, matrices and designs in worlds of known truth: coverage, bias, false claims, power."""
    from search.bench.honesty.campaign import Protocol
    from search.bench.honesty.figures import Workload
    from search.cli.bench import bench_honesty

    protocol = Protocol(num_finalists=num_finalists, num_seeds=num_seeds, num_further=num_further, racing=racing)
    share = None if difference is None else difference / 100
    workload = Workload(
        protocol=protocol, difference=share, num_workers=num_workers, num_patients=tuple(num_patients or ())
    )
    bench_honesty(scenario or [], num_campaigns, seed=seed, workload=workload, as_json=as_json)


@bench_app.command("search")
def bench_search(
    table: Annotated[list[Path], typer.Option(help="`phantom`, or an NPZ file; may be given several times")],
    strategies: Annotated[
        str | None, typer.Option(help="names, separated by commas; default: all that can search any table")
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="replays of everything, with other seeds")] = 2,
    trials: Annotated[str, typer.Option(help="numbers of trials after which picks are judged")] = "16,24,36,48,72,96",
    all_targets: Annotated[
        bool, typer.Option("--all-targets", help="one pool of trials for all targets, not a search for each")
    ] = False,
    size: Annotated[int | None, typer.Option(min=1, help="only compositions of so many sources")] = None,
    no_item_noise: Annotated[
        bool, typer.Option("--no-item-noise", help="trials see the questions of the regret: a very large search split")
    ] = False,
    shuffle_proxy: Annotated[bool, typer.Option("--shuffle-proxy", help="give strategies a useless proxy")] = False,
    fail_share: Annotated[float, typer.Option(min=0, max=0.9, help="share of trials that fail")] = 0.0,
    delay: Annotated[int, typer.Option(min=0, help="results come so many trials late")] = 0,
    every_target: Annotated[int, typer.Option(min=1, help="only every n-th target, for a quick look")] = 1,
    num_workers: Annotated[int, typer.Option(min=1, help="processes, one core each")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """Compare strategies on tables in which every composition has been trained."""
    from search.bench.replay.problem import Disturbance
    from search.cli.bench import bench_search, plan_of

    plan = plan_of(
        table,
        strategies,
        trials,
        repetitions=repetitions,
        all_targets=all_targets,
        size=size,
        item_noise=not no_item_noise,
        disturbance=Disturbance(shuffle_proxy=shuffle_proxy, fail_share=fail_share, delay=delay),
        every_target=every_target,
    )
    bench_search(plan, as_json=as_json, num_workers=num_workers)


@bench_app.command("digits")
def bench_digits(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder for the tables; those there are kept")],
    corpus: Annotated[list[int] | None, typer.Option(help="corpus seeds; default: 1, 2 and 3")] = None,
    num_seeds: Annotated[int, typer.Option(min=2, help="fine-tunes of every composition")] = 6,
    digits: Annotated[
        Path | None, typer.Option(help="file of digits; default: the one that scikit-learn ships")
    ] = None,
) -> None:
    """Make tables by training all 4,095 compositions of twelve sources (four to five minutes each on one core)."""
    from search.cli.bench import make_digits

    make_digits(folder, corpus or [1, 2, 3], num_seeds, digits)


@bench_app.command("early-stopping")
def bench_early_stopping(
    corpus: Annotated[list[int] | None, typer.Option(help="corpus seeds; default: 31 to 40")] = None,
    num_trials: Annotated[int, typer.Option(min=4, help="compositions of a search")] = 48,
    digits: Annotated[
        Path | None, typer.Option(help="file of digits; default: the one that scikit-learn ships")
    ] = None,
) -> None:
    """Measure what rules of early stopping save and cost on digits corpora (two to six seconds a corpus)."""
    from search.cli.replays import bench_early_stopping

    bench_early_stopping(corpus or list(range(31, 41)), num_trials, digits)


@bench_app.command("stopped-trials")
def bench_stopped_trials(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="with tables of `recombine bench digits`")],
    corpus: Annotated[list[int], typer.Option(help="corpus seeds; each has a table in DIR")],
    trials: Annotated[str, typer.Option(help="numbers of trials after which picks are judged")] = "24,36",
    every_target: Annotated[int, typer.Option(min=1, help="only every n-th target, for a quick look")] = 1,
    digits: Annotated[
        Path | None, typer.Option(help="file of digits; default: the one that scikit-learn ships")
    ] = None,
) -> None:
    """Measure what trials that were stopped early are worth to a search (a minute a target on one core)."""
    from search.cli.replays import bench_stopped_trials

    bench_stopped_trials(folder, corpus, trials, every_target, digits)


@bench_app.command("stopping")
def bench_stopping(
    table: Annotated[list[Path] | None, typer.Option(help="`phantom`, or an NPZ file: what it costs there")] = None,
    num_campaigns: Annotated[int, typer.Option(min=1, help="searches of worlds without a difference")] = 60,
    trials: Annotated[int, typer.Option(min=16, help="of the whole search of a table")] = 48,
    every_target: Annotated[int, typer.Option(min=1, help="only every n-th target, for a quick look")] = 1,
) -> None:
    """Measure when `strategy.stop_when` ends a search, and what that costs (a few seconds a search on one core)."""
    from search.cli.replays import bench_stopping

    bench_stopping(table or [], num_campaigns, trials, every_target)


@bench_app.command("replicates")
def bench_replicates(
    table: Annotated[list[Path], typer.Option(help="`phantom`, or an NPZ file of three seeds or more")],
    trials: Annotated[int, typer.Option(min=8, help="of a search, replicates among them")] = 36,
    replicates: Annotated[str, typer.Option(help="how many of them; several numbers with commas")] = "6,12",
    every_target: Annotated[int, typer.Option(min=1, help="only every n-th target, for a quick look")] = 1,
) -> None:
    """Measure what a second training of the likeliest candidates is worth beside new ones (some seconds a target)."""
    from search.cli.replays import bench_replicates

    bench_replicates(table, trials, replicates, every_target)


@bench_app.command("uneven")
def bench_uneven(
    table: Annotated[list[Path], typer.Option(help="`phantom`, or an NPZ file; may be given several times")],
    trials: Annotated[int, typer.Option(min=8, help="of a search")] = 36,
    every_target: Annotated[int, typer.Option(min=1, help="only every n-th target, for a quick look")] = 1,
) -> None:
    """Measure what it costs a search that sources differ in size and give all that they have (`num_samples: all`)."""
    from search.cli.replays import bench_uneven

    bench_uneven(table, trials, every_target)


@bench_app.command("constraints")
def bench_constraints(
    table: Annotated[list[Path], typer.Option(help="`phantom`, or an NPZ file; may be given several times")],
    trials: Annotated[int, typer.Option(min=8, help="of a search")] = 36,
    every_target: Annotated[int, typer.Option(min=1, help="only every n-th target, for a quick look")] = 1,
) -> None:
    """Measure how often the pick keeps two other targets above a floor, told of them or not."""
    from search.cli.replays import bench_constraints

    bench_constraints(table, trials, every_target)


@bench_app.command("cheaper")
def bench_cheaper(
    table: Annotated[list[Path], typer.Option(help="`phantom`, or an NPZ file; may be given several times")],
    trials: Annotated[int, typer.Option(min=8, help="of a search")] = 36,
    within: Annotated[str, typer.Option(help="confirm.cheaper_within; several numbers with commas")] = "1,2,4",
    every_target: Annotated[int, typer.Option(min=1, help="only every n-th target, for a quick look")] = 1,
) -> None:
    """Measure what choosing the cheapest finalist within some points of the best saves and costs."""
    from search.cli.replays import bench_cheaper

    bench_cheaper(table, trials, within, every_target)


@bench_app.command("claims")
def bench_claims(
    part: Annotated[str, typer.Argument(metavar="PART", help="one-by-one, four-of-twelve or one-pool")],
    table: Annotated[list[Path], typer.Option(help="NPZ file; may be given several times")],
    every_target: Annotated[int, typer.Option(min=1, help="only every n-th target, for a quick look")] = 1,
    num_workers: Annotated[int, typer.Option(min=1, help="processes, one core each")] = 1,
) -> None:
    """Test what is claimed of the search at a stated error rate; exits with 1 where a claim is not shown."""
    from search.cli.replays import bench_claims, part_of

    if not bench_claims(part_of(part), table, every_target, num_workers):
        raise typer.Exit(1)


@bench_app.command("carry-over")
def bench_carry_over(
    table: Annotated[Path, typer.Option(help="CSV with the columns backbone, seed, source, target, value")],
) -> None:
    """Say whether the order of sources carries over from one backbone to another, and which best sources are ties."""
    from search.cli.replays import bench_carry_over

    bench_carry_over(table)


@bench_app.command("effects")
def bench_effects(
    table: Annotated[list[Path], typer.Option(help="`phantom`, or an NPZ file; may be given several times")],
    strategies: Annotated[str, typer.Option(help="whose trials are explained")] = "random,recombine",
    trials: Annotated[str, typer.Option(help="numbers of trials after which they are explained")] = "24,48",
    every_target: Annotated[int, typer.Option(min=1, help="only every n-th target, for a quick look")] = 1,
    repetitions: Annotated[int, typer.Option(min=1, help="searches of every target, with other seeds")] = 1,
) -> None:
    """Measure whether the 95 % intervals of Banzhaf values hold the truth."""
    from search.cli.replays import bench_effects

    bench_effects(table, strategies, trials, every_target, repetitions)


@bench_app.command("phantom-table")
def bench_phantom_table(
    results: Annotated[Path, typer.Argument(metavar="TABLE.jsonl", help="of `recombine phantom evidence`")],
    path: Annotated[Path, typer.Argument(metavar="FILE", help="ends in .npz or .parquet")],
    merges: Annotated[Path | None, typer.Option(help="scores of `recombine bench phantom-merges`")] = None,
) -> None:
    """Turn the phantom's finished fine-tunes into a table."""
    from search.cli.bench import make_phantom_table

    make_phantom_table(results, path, merges)


@bench_app.command("phantom-merges")
def bench_phantom_merges(
    path: Annotated[Path, typer.Argument(metavar="MERGES.jsonl", help="goes on with what is in it")],
    seed: Annotated[int, typer.Option(help="of the single sources' fine-tunes")] = 0,
) -> None:
    """Train the phantom's eight sources alone, and score all merges of their adapters (seven minutes on one core)."""
    from search.cli.bench import make_phantom_merges

    make_phantom_merges(path, seed)


@bench_app.command("mixtures")
def bench_mixtures(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="TRAIN TEST with columns x_... and y_..., or TRAIN_WEIGHTS TRAIN_LOSSES TEST_WEIGHTS TEST_LOSSES",
        ),
    ],
    num_runs: Annotated[int, typer.Option(min=3, help="runs to learn from")] = 32,
    repetitions: Annotated[int, typer.Option(min=1, help="draws of these runs")] = 3,
) -> None:
    """Measure how well a few runs predict the order of others: on files of runs, or shaped like RegMix's."""
    from search.cli.bench import bench_mixtures

    bench_mixtures(files, num_runs, repetitions)
