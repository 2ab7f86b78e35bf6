"""Many replays: every strategy on every table, target and repetition, on one or several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from datasets_spec.errors import UserError
from search.bench.known_truth.shipped import open_table
from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.full_information import full_information
from search.bench.replay.problem import Disturbance, ReplayProblem
from search.bench.replay.replay import Pick, replay
from search.seeds import derived_seed
from search.strategies.interface import Strategy
from search.strategies.registry import STRATEGY_NAMES, build_strategy

# Parts of `recombine` left out, to see what each earns; names of the benchmark only.
ABLATIONS: Final[Mapping[str, dict[str, Any]]] = {
    "recombine-without-proxy": {"use_proxy": False},
    "recombine-without-singles": {"singles_first": False},
    "recombine-without-keys": {"use_keys": False},
    "recombine-without-sharing": {"share_targets": False},
}
# The search sees no score of the target it is judged on: keys and other targets are all it goes by.
WITHOUT_LABELS: Final = "recombine-without-labels"
BENCH_STRATEGIES: Final = (*STRATEGY_NAMES, *ABLATIONS, WITHOUT_LABELS)
DEFAULT_STRATEGIES: Final = ("recombine", "optuna-tpe", "random", "greedy", "merge-then-confirm", "static", "metadata")
_NEEDS_PROXY: Final = "merge-then-confirm"


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchPlan:
    """What is replayed.

    Attributes:
        tables: NPZ or Parquet files, or names of shipped tables.
        strategies: names out of `BENCH_STRATEGIES`.
        repetitions: replays of everything, with other seeds.
        checkpoints: numbers of trials after which picks are judged.
        all_targets: one pool of trials for all targets, instead of a search for each.
        size: only compositions of so many sources.
        item_noise: see `ReplayProblem`.
        disturbance: what goes wrong on purpose.
        every_target: search only for every n-th target of a table, for a quick look.
        with_intervals: whether picks say how many of the intervals hold, which takes most of a short replay's time.
    """

    tables: tuple[Path, ...]
    strategies: tuple[str, ...]
    repetitions: int
    checkpoints: tuple[int, ...]
    all_targets: bool = False
    size: int | None = None
    item_noise: bool = True
    disturbance: Disturbance = field(default_factory=Disturbance)
    every_target: int = 1
    with_intervals: bool = True

    def problem(self, table: KnownTruthTable, target: int | None, *, labelled: bool = True) -> ReplayProblem:
        """The search of one job."""
        return ReplayProblem(
            table,
            target=target,
            size=self.size,
            item_noise=self.item_noise,
            disturbance=self.disturbance,
            labelled=labelled,
            num_trials=max(self.checkpoints),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    table: int
    strategy: str
    target: int | None
    repetition: int


def run_bench(
    plan: BenchPlan, *, num_workers: int, on_event: Callable[[str], None]
) -> tuple[list[Pick], dict[tuple[str, str, int], float]]:
    """Replay everything.

    Args:
        plan: what is replayed.
        num_workers: processes, one core each.
        on_event: gets lines of progress.

    Returns:
        All picks in the order of the plan, and the full-information regret by (table, strategy, target), which is
        empty without intervals.

    Raises:
        UserError: a table or a strategy is wrong.
    """
    tables = [open_table(path) for path in plan.tables]
    _check_names(plan, tables)
    jobs = [
        _Job(table=place, strategy=strategy, target=target, repetition=repetition)
        for place, table in enumerate(tables)
        for strategy in plan.strategies
        if strategy != _NEEDS_PROXY or table.proxy is not None
        for repetition in range(plan.repetitions)
        for target in ([None] if plan.all_targets else range(0, table.num_targets, plan.every_target))
    ]
    if not jobs:
        raise UserError("nothing to replay: the tables hold no proxy, which the chosen strategy needs")
    on_event(f"{len(jobs)} replays of up to {max(plan.checkpoints)} trials on {len(tables)} tables")
    found: dict[_Job, list[Pick]] = {}
    for number, (job, picks) in enumerate(_results(plan, tables, jobs, num_workers), start=1):
        found[job] = picks
        if number * 10 // len(jobs) > (number - 1) * 10 // len(jobs):
            on_event(f"{number} of {len(jobs)} replays")
    full: dict[tuple[str, str, int], float] = {}
    for table in tables if plan.with_intervals else ():
        on_event(f"{table.name}: picks from every candidate's result")
        full |= _full_information(plan, table)
    return [pick for job in jobs for pick in found[job]], full


def _check_names(plan: BenchPlan, tables: Sequence[KnownTruthTable]) -> None:
    from datasets_spec.nearest import nearest_of

    for strategy in plan.strategies:
        if strategy not in BENCH_STRATEGIES:
            near = nearest_of(strategy, BENCH_STRATEGIES)
            raise UserError(
                f"there is no strategy {strategy!r}" + (f"; did you mean {near!r}?" if near else ""),
                hint=f"strategies: {', '.join(BENCH_STRATEGIES)}",
            )
    names = [table.name for table in tables]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"two tables are called {', '.join(twice)}", hint="rename one of the files")


def _results(
    plan: BenchPlan, tables: Sequence[KnownTruthTable], jobs: Sequence[_Job], num_workers: int
) -> Iterator[tuple[_Job, list[Pick]]]:
    if num_workers == 1:
        for job in jobs:
            yield job, _replayed(plan, tables, job)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context, initializer=_load, initargs=(plan,)) as pool:
        pending = {pool.submit(_replay_in_worker, job): job for job in jobs}
        try:
            for future in as_completed(pending):
                yield pending[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_loaded: dict[str, Any] = {}  # a worker's own copy of plan and tables


def _load(plan: BenchPlan) -> None:
    _loaded["plan"], _loaded["tables"] = plan, [open_table(path) for path in plan.tables]


def _replay_in_worker(job: _Job) -> list[Pick]:
    return _replayed(_loaded["plan"], _loaded["tables"], job)


def _replayed(plan: BenchPlan, tables: Sequence[KnownTruthTable], job: _Job) -> list[Pick]:
    table = tables[job.table]
    problem = plan.problem(table, job.target, labelled=job.strategy != WITHOUT_LABELS)
    strategy = build_for(problem, job.strategy, job.repetition)
    return replay(
        problem,
        strategy,
        label=job.strategy,
        repetition=job.repetition,
        checkpoints=plan.checkpoints,
        with_intervals=plan.with_intervals,
    )


def build_for(problem: ReplayProblem, name: str, repetition: int) -> Strategy:
    """A fresh strategy for a replay; its seed depends on table, target and repetition, not on its name."""
    seed = derived_seed(repetition, problem.table.name, -1 if problem.target is None else problem.target)
    context = problem.context(repetition)
    if name in ABLATIONS:
        from search.strategies.recombine import RecombineOptions, RecombineStrategy

        options = RecombineOptions(**ABLATIONS[name])
        return RecombineStrategy(space=problem.space, seed=seed, context=context, options=options)
    name = "recombine" if name == WITHOUT_LABELS else name
    return build_strategy(name, space=problem.space, seed=seed, context=context)


def _full_information(plan: BenchPlan, table: KnownTruthTable) -> dict[tuple[str, str, int], float]:
    found = full_information(plan.problem(table, None), 0)
    regrets: dict[tuple[str, str, int], float] = {}
    for strategy in plan.strategies:
        by_model = strategy.startswith("recombine")
        for target in range(table.num_targets):
            regrets[table.name, strategy, target] = (found.smoothed if by_model else found.best_seen)[target]
    return regrets
