"""`recombine bench early-stopping`, `stopped-trials`, `stopping`, `claims` and `carry-over`: each part alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_spec.errors import UserError
from datasets_spec.nearest import nearest_of
from search.cli.bench import counts_of
from search.cli.console import print_line, print_note, print_table

if TYPE_CHECKING:
    from search.bench.replay.claims import Part


def bench_early_stopping(corpora: Sequence[int], num_trials: int, digits: Path | None) -> None:
    """Train trials of digits corpora with their rungs, and print what every rule saves and costs."""
    import torch

    from search.bench.known_truth.digits import build_corpus, load_digits
    from search.bench.known_truth.digits_rungs import train_with_rungs
    from search.bench.replay.early_stopping import ALL_RUNGS, compare_rules

    torch.set_num_threads(1)
    images, labels = load_digits(digits)
    trained = []
    for seed in corpora:
        corpus = build_corpus(images, labels, seed)
        trained.append(train_with_rungs(corpus, num_trials=num_trials, rungs=ALL_RUNGS, seed=seed))
        print_note(f"corpus {seed}: {num_trials} trials")
    figures = compare_rules(trained)
    rows = [
        [
            figure.rule,
            f"{figure.steps:.0%} ({figure.steps_interval.low:.0%}..{figure.steps_interval.high:.0%})",
            f"{figure.regret:+.2f} ({figure.regret_interval.low:+.2f}..{figure.regret_interval.high:+.2f})",
            f"{figure.same_choice:.0%}",
        ]
        for figure in figures
    ]
    title = f"{figures[0].num_problems} searches of {num_trials} trials (95 % interval over corpora)"
    print_table(title, ["a trial is compared with", "steps made", "regret added, points", "same choice"], rows)


def bench_stopped_trials(
    folder: Path, corpora: Sequence[int], trials: str, every_target: int, digits: Path | None
) -> None:
    """Replay searches in which trials stop, and print what stopped ones are worth."""
    import torch

    from search.bench.known_truth.digits import build_corpus, load_digits
    from search.bench.known_truth.table import load_table
    from search.bench.replay.stopped_trials import compare_ways

    torch.set_num_threads(1)
    images, labels = load_digits(digits)
    pairs = [(load_table(folder / f"digits-{seed}.npz"), build_corpus(images, labels, seed)) for seed in corpora]
    rows = [
        [
            figure.way,
            str(figure.trials),
            f"{figure.steps:.0%}",
            f"{figure.regret:.2f} ({figure.regret_interval.low:.2f}..{figure.regret_interval.high:.2f})",
            f"{figure.added:+.2f} ({figure.added_interval.low:+.2f}..{figure.added_interval.high:+.2f})",
        ]
        for figure in compare_ways(pairs, checkpoints=counts_of(trials), every_target=every_target)
    ]
    columns = ["way", "trials", "steps made", "regret, points", "minus the line above"]
    print_table("recombine, one target at a time (95 % interval over targets)", columns, rows)


def bench_stopping(tables: Sequence[Path], num_campaigns: int, num_trials: int, every_target: int) -> None:
    """Replay searches of null worlds and of tables, and print what every floor of the expected gain does."""
    from search.bench.known_truth.shipped import open_table
    from search.bench.replay.stopping import NULL_TRIALS, null_course, summarise_stopping, table_course

    null = [null_course(seed) for seed in range(num_campaigns)]
    print_note(f"{num_campaigns} searches of worlds without a difference")
    courses = []
    for path in tables:
        table = open_table(path)
        courses += [table_course(table, t, num_trials) for t in range(0, table.num_targets, every_target)]
        print_note(f"{table.name}: {len(courses)} searches so far")
    rows = [
        [
            f"{figure.floor:g}",
            f"{figure.null_stopped:.0%} ({figure.null_interval.low:.0%}..{figure.null_interval.high:.0%})",
            "-" if figure.trials is None else f"{figure.trials:.1f}",
            "-"
            if figure.added_interval is None
            else f"{figure.added:+.2f} ({figure.added_interval.low:+.2f}..{figure.added_interval.high:+.2f})",
        ]
        for figure in summarise_stopping(null, courses)
    ]
    columns = [
        "stop_when",
        f"null: ended by trial {NULL_TRIALS}",
        f"tables: trials of {num_trials}",
        "regret added, points",
    ]
    print_table("searches that end for want of gain (95 % intervals over searches)", columns, rows)


def bench_replicates(tables: Sequence[Path], trials: int, replicates: str, every_target: int) -> None:
    """Replay searches whose last trials repeat the likeliest candidates, and print what that is worth."""
    from search.bench.known_truth.shipped import open_table
    from search.bench.replay.replicates import compare_replicates

    opened = [open_table(path) for path in tables]
    counts = [count for count in counts_of(replicates) if count < trials]
    figures = compare_replicates(opened, num_trials=trials, replicates=counts, every_target=every_target)
    rows = [
        [
            str(figure.num_replicates),
            f"{figure.regret:.2f} ({figure.regret_interval.low:.2f}..{figure.regret_interval.high:.2f})",
            f"{figure.added:+.2f} ({figure.added_interval.low:+.2f}..{figure.added_interval.high:+.2f})",
        ]
        for figure in figures
    ]
    columns = [f"replicates among {trials} trials", "regret, points", "minus new candidates only"]
    print_table("recombine, one target at a time (95 % interval over targets)", columns, rows)


def bench_uneven(tables: Sequence[Path], num_trials: int, every_target: int) -> None:
    """Print the regret of searches whose sources give equally, and all that they have."""
    from search.bench.known_truth.shipped import open_table
    from search.bench.replay.uneven_sources import compare_uneven

    figure = compare_uneven([open_table(path) for path in tables], num_trials=num_trials, every_target=every_target)
    interval = figure.added_interval
    row = [
        str(num_trials),
        f"{figure.equal:.2f}",
        f"{figure.uneven:.2f}",
        f"{figure.added:+.2f} ({interval.low:+.2f}..{interval.high:+.2f})",
        str(figure.num_targets),
    ]
    columns = ["trials", "equal sources", "20 to 2,000 rows, all", "difference (95 %)", "targets"]
    print_table("recombine, one target at a time: regret in points", columns, [row])


def bench_constraints(tables: Sequence[Path], num_trials: int, every_target: int) -> None:
    """Print how many picks keep their constraints, in searches that know of them and in others."""
    from search.bench.known_truth.shipped import open_table
    from search.bench.replay.constrained import compare_constrained

    opened = [open_table(path) for path in tables]
    rows = [
        [
            figure.way,
            f"{figure.kept:.0%} ({max(figure.kept_interval.low, 0):.0%}..{min(figure.kept_interval.high, 1):.0%})",
            f"{figure.shortfall:.1f}",
            f"{figure.regret:+.2f}",
            str(figure.num_targets),
        ]
        for figure in compare_constrained(opened, num_trials=num_trials, every_target=every_target)
    ]
    columns = ["constraints", "kept by the pick (95 %)", "shortfall, points", "below the best that keep", "targets"]
    print_table(f"recombine, {num_trials} trials, two other targets with a floor", columns, rows)


def bench_cheaper(tables: Sequence[Path], num_trials: int, within: str, every_target: int) -> None:
    """Print cost and regret of the cheapest finalist within some points of the best."""
    from search.bench.known_truth.shipped import open_table
    from search.bench.replay.cheaper import compare_cheaper

    opened = [open_table(path) for path in tables]
    points = [float(count) for count in counts_of(within)]
    rows = [
        [
            f"{figure.within:g}",
            f"{figure.cost:.1f}",
            f"{figure.regret:.2f}",
            f"{figure.added:+.2f} ({figure.added_interval.low:+.2f}..{figure.added_interval.high:+.2f})",
        ]
        for figure in compare_cheaper(opened, num_trials=num_trials, within=points, every_target=every_target)
    ]
    columns = ["cheaper_within", "sources trained on", "regret, points", "minus the best one's (95 %)"]
    print_table(f"recombine, {num_trials} trials, three finalists", columns, rows)


def part_of(name: str) -> Part:
    """The part of that name.

    Raises:
        UserError: there is none.
    """
    from search.bench.replay.claims import Part

    names = [part.value for part in Part]
    if name not in names:
        raise UserError(f"no part is called {name!r}; did you mean {nearest_of(name, names) or names[0]!r}?")
    return Part(name)


def bench_claims(part: Part, tables: Sequence[Path], every_target: int, num_workers: int) -> bool:
    """Print the claims of a part with their bounds; return whether all hold."""
    from search.bench.replay.claims import ALPHA, run_part

    figures = run_part(part, tables, every_target=every_target, num_workers=num_workers, on_event=print_note)
    rows = [
        [
            figure.text,
            f"{figure.value:.2f}",
            f"{figure.bound:.2f}",
            f"{figure.limit:g}",
            "yes" if figure.holds else "NO",
            str(figure.num_targets),
        ]
        for figure in figures
    ]
    columns = ["claim", "points", f"one-sided {1 - ALPHA:.0%} bound", "limit", "holds", "targets"]
    print_table(f"{part.value}: regret of recombine, or minus that of the other", columns, rows)
    return all(figure.holds for figure in figures)


def bench_carry_over(path: Path) -> None:
    """Print how far the sources' order holds from seed to seed and from backbone to backbone, and which are ties."""
    from search.bench.known_truth.carry_over_table import load_matrices
    from search.statistics.carry_over import Agreement, best_sources, between_backbones, between_seeds

    def cells(found: Agreement) -> list[str]:
        span = f"{found.interval.low:.2f}..{found.interval.high:.2f}"
        same = f"{found.same_best:.0%}"
        return [found.first, found.second, f"{found.correlation:.2f} ({span})", same, str(found.num_targets)]

    matrices = load_matrices(path)
    seeds = [found for matrix in matrices if (found := between_seeds(matrix)) is not None]
    columns = ["one side", "the other", "rank correlation (95 %)", "same best source", "targets"]
    rows = [cells(found) for found in (*seeds, *between_backbones(matrices))]
    print_table("order of sources by target: does it carry over?", columns, rows)
    for matrix in matrices:
        listed = best_sources(matrix)
        alone = sum(not best.ties for best in listed)
        print_line(f"{matrix.backbone}: the best source is told from all others on {alone} of {len(listed)} targets")
        rows = [[best.target, best.best, str(best.num_sources), ", ".join(best.ties) or "none"] for best in listed]
        print_table(f"{matrix.backbone}: best sources", ["target", "best", "of", "cannot be told from it"], rows)


def bench_effects(tables: Sequence[Path], strategies: str, trials: str, every_target: int, repetitions: int) -> None:
    """Explain searches of tables and print how many intervals of Banzhaf values hold the truth."""
    from search.bench.known_truth.shipped import open_table
    from search.bench.replay.effect_coverage import effect_coverage

    found = effect_coverage(
        [open_table(path) for path in tables],
        strategies=[name.strip() for name in strategies.split(",") if name.strip()],
        checkpoints=counts_of(trials),
        every_target=every_target,
        repetitions=repetitions,
    )
    rows = [
        [
            figure.strategy,
            str(figure.trials),
            f"{figure.share:.0%} ({figure.interval.low:.0%}..{figure.interval.high:.0%})",
            "-" if figure.clear_share is None else f"{figure.clear_share:.0%}",
            f"{figure.strongest_share:.0%}",
            f"{figure.half_width:.1f}",
            str(figure.num_intervals),
        ]
        for figure in found
    ]
    held = "95 % intervals that hold the truth"
    columns = ["trials of", "trials", held, "of the clear", "of the strongest", "half width, points", "intervals"]
    print_table("Banzhaf values by explain (95 % interval over targets)", columns, rows)
