"""Whether `explain`'s 95 % intervals of Banzhaf values hold the truth, on tables in which it can be computed.

A subset's Banzhaf value is what it adds on average to a composition of the others; with every composition trained it
is a mean of differences. It is estimated by the study's own code from the trials of a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.problem import ReplayProblem
from search.evidence.explain.effects import Subject, explain
from search.statistics.intervals import Interval
from search.strategies.interface import IDENTITY_MAP, Observation
from search.strategies.registry import build_strategy
from search.vocabulary import Exposure, Stage, Status

NUM_DRAWS: Final = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectCoverage:
    """One strategy's trials, so many of them.

    Attributes:
        strategy: that chose the trials.
        trials: how many.
        share: of the intervals that hold the truth.
        interval: 95 % of that, over (table, target).
        half_width: of an interval, in points, on average.
        num_intervals: in all.
    """

    strategy: str
    trials: int
    share: float
    interval: Interval
    half_width: float
    num_intervals: int


def true_banzhaf(table: KnownTruthTable, target: int) -> NDArray[np.float64]:
    """[N] of every source, on the questions that guide a search, with the mean of all seeds.

    The empty composition is in no table: its differences are left out.
    """
    worth = table.val[:, :, target].mean(0)
    row_of = {row.tobytes(): place for place, row in enumerate(table.subsets)}
    values = []
    for source in range(table.num_sources):
        gains = []
        for place, row in enumerate(table.subsets):
            if row[source] and row.sum() > 1:
                without = row.copy()
                without[source] = 0
                gains.append(worth[place] - worth[row_of[without.tobytes()]])
        values.append(float(np.mean(gains)))
    return np.array(values)


def effect_coverage(
    tables: Sequence[KnownTruthTable], *, strategies: Sequence[str], checkpoints: Sequence[int], every_target: int
) -> list[EffectCoverage]:
    """Search every table for every target and count the intervals that hold the truth."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for table in tables:
        for target in range(0, table.num_targets, every_target):
            truth = true_banzhaf(table, target)
            for name in strategies:
                for num, results in _searches(table, target, name, checkpoints):
                    low, high = _intervals(table, target, name, results)
                    covered = float(np.mean((low <= truth) & (truth <= high)))
                    found.setdefault((name, num), []).append((covered, float(np.mean(high - low)) / 2))
    return [_figure(name, num, values, tables[0].num_sources) for (name, num), values in found.items()]


def _searches(
    table: KnownTruthTable, target: int, name: str, checkpoints: Sequence[int]
) -> list[tuple[int, list[Observation]]]:
    problem = ReplayProblem(table, target=target, num_trials=max(checkpoints))
    strategy = build_strategy(name, space=problem.space, seed=target, context=problem.context(0))
    results: list[Observation] = []
    reached = []
    while len(results) < max(checkpoints) and (suggestion := strategy.ask(results, [])) is not None:
        results.append(problem.observe(suggestion.candidate, len(results), 0))
        if len(results) in checkpoints:
            reached.append((len(results), list(results)))
    return reached


def _intervals(
    table: KnownTruthTable, target: int, strategy: str, results: Sequence[Observation]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper ends, [N] each, as `explain` gives them for the records of these trials."""
    problem = ReplayProblem(table, target=target)
    context, name = problem.context(0), problem.target_names[target]
    subject = Subject(
        keys={**context.source_keys, name: context.target_keys[name]},
        sources=problem.sources,
        targets=(name,),
        task_map=IDENTITY_MAP,
        selected=(),
    )
    records = [_record(o, name, strategy, int(table.num_val[target])) for o in results]
    effects = {e.subject: e for e in explain(records, subject).effects if e.kind == "banzhaf"}
    ends = np.array([(effects[source].ci_low, effects[source].ci_high) for source in problem.sources])
    return ends[:, 0], ends[:, 1]


def _record(observation: Observation, target: str, strategy: str, num_items: int) -> dict[str, Any]:
    accuracy = (observation.scores or {})[target]
    return {
        "kind": "trial",
        "stage": Stage.search,
        "status": Status.finished,
        "strategy": strategy,
        "composition": dict(observation.candidate.composition),
        "evaluations": [
            {
                "eval_set": target,
                "split": "search",
                "exposure": Exposure.held_out,
                "accuracy": accuracy,
                "n": num_items,
                "correct": round(accuracy * num_items),
            }
        ],
    }


def _figure(name: str, num: int, values: Sequence[tuple[float, float]], num_sources: int) -> EffectCoverage:
    covered, widths = np.array(values).T
    drawn = np.random.default_rng(0).integers(len(covered), size=(NUM_DRAWS, len(covered)))
    low, high = np.quantile(covered[drawn].mean(1), [0.025, 0.975])
    return EffectCoverage(
        strategy=name,
        trials=num,
        share=float(covered.mean()),
        interval=Interval(float(low), float(high)),
        half_width=100 * float(widths.mean()),
        num_intervals=len(covered) * num_sources,
    )
