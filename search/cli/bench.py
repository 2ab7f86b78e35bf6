"""`recombine bench`: strategies on tables of known truth, and the commands that make such tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_spec.errors import UserError
from datasets_spec.nearest import nearest_of
from search.cli.console import err, print_line, print_note, print_table

if TYPE_CHECKING:
    from search.bench.honesty.figures import HonestyFigure, Workload
    from search.bench.replay.many_replays import BenchPlan
    from search.bench.replay.regret import CoverageFigure, RegretFigure

# Whom the default is compared with, at which numbers of trials of its own and of theirs.
# Another strategy, trials of `recombine`, trials of the other: fewer against many, and equal numbers.
CONTRASTS = (
    ("optuna-tpe", 24, 96),
    ("random", 16, 96),
    *((name, num, num) for num in (24, 48) for name in ("greedy", "optuna-tpe", "random")),
)
HONESTY_COLUMNS = ["scenario", "figure", "measured", "95 % interval", "aim", "reached"]


def plan_of(
    tables: Sequence[Path], strategies: str | None, trials: str, *, repetitions: int, **problem: Any
) -> BenchPlan:
    """The plan of what stands on the command line.

    Args:
        tables: NPZ or Parquet files, or names of shipped tables.
        strategies: names with commas between; None takes the usual ones.
        trials: numbers with commas between.
        repetitions: replays of everything.
        problem: further fields of `BenchPlan`.

    Raises:
        UserError: `trials` holds something else than positive numbers.
    """
    from search.bench.replay.many_replays import DEFAULT_STRATEGIES, BenchPlan

    names = DEFAULT_STRATEGIES if strategies is None else tuple(n.strip() for n in strategies.split(",") if n.strip())
    return BenchPlan(
        tables=tuple(tables),
        strategies=tuple(dict.fromkeys(names)),
        repetitions=repetitions,
        checkpoints=counts_of(trials),
        **problem,
    )


def counts_of(trials: str) -> tuple[int, ...]:
    """Numbers of trials as a user lists them.

    Raises:
        UserError: something else stands there.
    """
    counts = [part.strip() for part in trials.split(",") if part.strip()]
    if not counts or not all(part.isascii() and part.isdigit() and int(part) for part in counts):
        raise UserError(f"--trials {trials!r} is no list of numbers", hint="write it as 16,24,36,48,72,96")
    return tuple(sorted({int(part) for part in counts}))


def bench_search(plan: BenchPlan, *, as_json: bool, num_workers: int) -> None:
    """Replay strategies on tables and print regrets: a table, or one JSON object a line."""
    from search.bench.replay.many_replays import run_bench
    from search.bench.replay.regret import summarise_regrets

    # Progress goes to the error stream, so that the output is nothing but figures.
    picks, full = run_bench(plan, num_workers=num_workers, on_event=lambda text: err.print(text, markup=False))
    figures = summarise_regrets(picks, full)
    if as_json:
        for figure in figures:
            print_line(json.dumps(figure.as_json()))
        return
    for table in dict.fromkeys(figure.table for figure in figures):
        own = [figure for figure in figures if figure.table == table]
        _print_regrets(table, own)
        _print_coverage(table, [figure for figure in own if figure.coverages])
    from search.bench.replay.regret import regret_contrast

    for other, trials, other_trials in CONTRASTS:
        found = regret_contrast(picks, "recombine", trials, other, other_trials)
        if found is not None:
            print_line(
                f"regret of {other} after {other_trials} trials minus that of recombine after {trials}: "
                f"{found.difference:.2f} points, 95 % {found.interval.low:.2f} to {found.interval.high:.2f}"
            )


def _print_regrets(table: str, figures: Sequence[RegretFigure]) -> None:
    """One row a strategy, one column a number of trials."""
    from search.bench.replay.regret import EPSILONS, trials_to

    counts = sorted({figure.trials for figure in figures})
    rows = []
    for strategy in dict.fromkeys(figure.strategy for figure in figures):
        own = {figure.trials: figure for figure in figures if figure.strategy == strategy}
        cells = [
            f"{own[n].regret_mean:.2f} ({own[n].regret_interval.low:.2f}..{own[n].regret_interval.high:.2f})"
            if n in own
            else "-"
            for n in counts
        ]
        last = own[max(own)]
        reached = [str(trials_to(list(own.values()), epsilon) or "-") for epsilon in EPSILONS]
        coverage = "-" if last.interval_coverage is None else f"{last.interval_coverage:.0%}"
        ends = [f"{last.full_information_regret:.2f}", f"{last.p_within_1:.0%}", coverage, f"{last.suggestion_s:.3f}"]
        rows.append([strategy, *cells, *reached, *ends])
    columns = [
        "strategy",
        *(f"{n} trials" for n in counts),
        *(f"trials to {epsilon:g}" for epsilon in EPSILONS),
        "all results",
        "within 1",
        "90 % covers",
        "s/suggestion",
    ]
    print_table(f"{table}: regret in points (95 % interval over targets)", columns, rows)


def _print_coverage(table: str, figures: Sequence[RegretFigure]) -> None:
    """One row a strategy and number of trials, one column what intervals are about."""
    from search.bench.replay.coverage import Group

    rows = [
        [figure.strategy, str(figure.trials), *(_covered(figure.coverages.get(group)) for group in Group)]
        for figure in figures
    ]
    if rows:
        columns = ["strategy", "trials", "finalists", "shown", "others, tried sizes", "others, extrapolated"]
        title = f"{table}: 90 % intervals that hold the truth (95 % interval over targets; intervals)"
        print_table(title, columns, rows)


def _covered(figure: CoverageFigure | None) -> str:
    if figure is None:
        return "-"
    return f"{figure.share:.0%} ({figure.ci_low:.0%}..{figure.ci_high:.0%}; {figure.num_intervals})"


def make_digits(folder: Path, corpora: Sequence[int], num_seeds: int, digits: Path | None) -> None:
    """Train every composition of digits corpora; a corpus whose table is there already is left alone."""
    import torch

    from search.bench.known_truth.digits import build_corpus, load_digits
    from search.bench.known_truth.digits_training import digits_table
    from search.bench.known_truth.table import save_table

    torch.set_num_threads(1)  # networks of 6,000 weights: more threads only wait for each other
    images, labels = load_digits(digits)
    for seed in corpora:
        path = folder / f"digits-{seed}.npz"
        if path.is_file():
            print_line(f"{path} is there already")
            continue
        table = digits_table(build_corpus(images, labels, seed), path.stem, num_seeds=num_seeds, on_event=print_line)
        print_line(f"wrote {save_table(table, path)}")


def make_phantom_merges(path: Path, seed: int) -> None:
    """Merge and score all compositions of the phantom's table; what is in the file already is left alone."""
    from search.bench.phantom.merges import run_phantom_merges
    from search.bench.phantom.plan import load_plan, table_trials
    from trainers.backbone_spec import PHANTOM_DIR

    trials = [trial for trial in table_trials(load_plan(), str(PHANTOM_DIR), (seed,)) if trial.sources]
    merged = run_phantom_merges(trials, path, on_event=print_line)
    print_line(f"{len(merged)} merges in {path}")


def make_phantom_table(results: Path, path: Path, merges: Path | None = None) -> None:
    """Turn the finished fine-tunes of `recombine phantom evidence` into a table."""
    from search.bench.known_truth.phantom_table import phantom_table
    from search.bench.known_truth.shipped import write_parquet
    from search.bench.known_truth.table import save_table

    if path.suffix not in (".npz", ".parquet"):
        raise UserError(
            f"{path}: a table is an NPZ or a Parquet file", hint="give a name that ends in .npz or .parquet"
        )
    table = phantom_table(results, path.stem, merges)
    write = save_table if path.suffix == ".npz" else write_parquet
    print_line(
        f"wrote {write(table, path)}: {len(table.subsets)} compositions of {table.num_sources} sources, "
        f"{table.val.shape[0]} seeds, {table.num_targets} targets"
    )


def bench_mixtures(files: Sequence[Path], num_runs: int, repetitions: int) -> None:
    """Print how well the surrogate ranks other mixtures: two files of runs, or RegMix's two pairs of files.

    Raises:
        UserError: another number of files, or what is wrong in one.
    """
    from search.bench.known_truth.mixtures import HINT, RUNS_HINT, load_mixtures, load_runs, rank_correlations

    if len(files) == 2:
        small, large = load_runs(files[0]), load_runs(files[1])
    elif len(files) == 4:
        small, large = load_mixtures(files[0], files[1]), load_mixtures(files[2], files[3])
    else:
        raise UserError(f"{len(files)} files", hint=f"either twice {RUNS_HINT}; or twice {HINT}")
    draws = [rank_correlations(small, large, num_runs=num_runs, seed=seed) for seed in range(repetitions)]
    rows = [
        [target, f"{sum(draw[target] for draw in draws) / repetitions:.3f}", f"{min(d[target] for d in draws):.3f}"]
        for target in draws[0]
    ]
    title = f"rank correlation with {len(large.shares)} other runs, from {num_runs} of {len(small.shares)}"
    print_table(title, ["target", f"mean of {repetitions} draws", "lowest"], rows)


def bench_honesty(
    scenarios: Sequence[str], num_campaigns: int, *, seed: int, workload: Workload, as_json: bool
) -> None:
    """Run simulated campaigns and matrices and print how honest their reports are.

    Raises:
        UserError: there is no such scenario.
    """
    from search.bench.honesty.scenarios import SCENARIOS, run_scenario

    for name in scenarios:
        if name not in SCENARIOS:
            near = nearest_of(name, SCENARIOS)
            raise UserError(
                f"no scenario is called '{name}'" + (f". Did you mean '{near}'?" if near else ""),
                hint=f"scenarios: {', '.join(SCENARIOS)}",
            )
    say = print_note if as_json else print_line
    figures: list[HonestyFigure] = []
    for name in scenarios or SCENARIOS:
        found = run_scenario(name, num_campaigns, seed=seed, workload=workload, on_event=say)
        figures += found
        if as_json:
            for figure in found:
                print_line(json.dumps(figure.as_dict()))
    if not as_json:
        print_table(
            f"{num_campaigns} campaigns or matrices a scenario", HONESTY_COLUMNS, [_cells(figure) for figure in figures]
        )


def _cells(figure: HonestyFigure) -> list[str]:
    is_points, is_number = figure.figure.endswith("points"), figure.figure.startswith("fine-tunes")

    def text(value: float) -> str:
        if is_number:
            return f"{value:.1f}"
        return f"{value:+.2f}" if is_points else f"{100 * value:.1f} %"

    reached = {True: "yes", False: "NO", None: ""}[figure.is_reached]
    interval = f"{text(figure.ci_low)} to {text(figure.ci_high)}"
    return [figure.scenario, figure.figure, text(figure.value), interval, figure.aim, reached]
