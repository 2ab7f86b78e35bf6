"""Whether `explain`'s 95 % intervals of Banzhaf values hold the truth, on tables in which it can be computed.

A subset's Banzhaf value is what it adds on average to a composition of the others; with every composition trained it
is a mean of differences. It is estimated by the study's own code from the trials of a search. A model that draws small
effects towards zero holds most of them and may still miss the large ones, so those that are called clear, and the
strongest of every target, are counted by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.bench.known_truth.shipped import cluster_name
from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.problem import ReplayProblem
from search.bench.replay.regret import target_interval
from search.evidence.explain.effects import Subject, explain
from search.seeds import derived_seed
from search.statistics.intervals import Interval
from search.strategies.interface import IDENTITY_MAP, Observation
from search.strategies.registry import build_strategy
from search.vocabulary import Exposure, Stage, Status

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectCoverage:
    """One strategy's trials, so many of them.

    Attributes:
        strategy: that chose the trials.
        trials: how many.
        share: of the intervals that hold the truth.
        interval: 95 % of that, over (table, target); orders of one table's seeds are one table.
        clear_share: of the intervals that leave zero out; None where none does.
        strongest_share: of the intervals of the subset that is worth most, for better or worse.
        half_width: of an interval, in points, on average.
        num_intervals: in all.
    """

    strategy: str
    trials: int
    share: float
    interval: Interval
    clear_share: float | None
    strongest_share: float
    half_width: float
    num_intervals: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Explained:
    """One search of one target: true values and ends of their intervals, [N] each."""

    cluster: tuple[str, int]
    truth: Floats
    low: Floats
    high: Floats

    @property
    def covered(self) -> NDArray[np.bool_]:
        return (self.low <= self.truth) & (self.truth <= self.high)

    @property
    def clear(self) -> NDArray[np.bool_]:
        return (self.low > 0) | (self.high < 0)


def true_banzhaf(table: KnownTruthTable, target: int) -> Floats:
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
    tables: Sequence[KnownTruthTable],
    *,
    strategies: Sequence[str],
    checkpoints: Sequence[int],
    every_target: int,
    repetitions: int = 1,
) -> list[EffectCoverage]:
    """Search every table for every target, so many times, and count the intervals that hold the truth."""
    found: dict[tuple[str, int], list[_Explained]] = {}
    for table in tables:
        for target in range(0, table.num_targets, every_target):
            truth = true_banzhaf(table, target)
            for name, repetition in product(strategies, range(repetitions)):
                for num, results in _searches(table, target, name, checkpoints, repetition):
                    low, high = _intervals(table, target, name, results)
                    one = _Explained(cluster=(cluster_name(table.name), target), truth=truth, low=low, high=high)
                    found.setdefault((name, num), []).append(one)
    return [_figure(name, num, searches) for (name, num), searches in found.items()]


def _searches(
    table: KnownTruthTable, target: int, name: str, checkpoints: Sequence[int], repetition: int
) -> list[tuple[int, list[Observation]]]:
    problem = ReplayProblem(table, target=target, num_trials=max(checkpoints))
    # The first search is that of earlier versions of this bench.
    seed = derived_seed(repetition, "effects", target) if repetition else target
    strategy = build_strategy(name, space=problem.space, seed=seed, context=problem.context(repetition))
    results: list[Observation] = []
    reached = []
    while len(results) < max(checkpoints) and (suggestion := strategy.ask(results, [])) is not None:
        results.append(problem.observe(suggestion.candidate, len(results), repetition))
        if len(results) in checkpoints:
            reached.append((len(results), list(results)))
    return reached


def _intervals(
    table: KnownTruthTable, target: int, strategy: str, results: Sequence[Observation]
) -> tuple[Floats, Floats]:
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
        "train_id": str(observation.proposal_index),
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


def _figure(name: str, num: int, searches: Sequence[_Explained]) -> EffectCoverage:
    clusters: dict[tuple[str, int], list[float]] = {}
    for one in searches:
        clusters.setdefault(one.cluster, []).append(float(one.covered.mean()))
    covered = np.concatenate([one.covered for one in searches])
    clear = np.concatenate([one.clear for one in searches])
    return EffectCoverage(
        strategy=name,
        trials=num,
        share=float(covered.mean()),
        interval=target_interval(np.array([np.mean(shares) for shares in clusters.values()])),
        clear_share=float(covered[clear].mean()) if clear.any() else None,
        strongest_share=float(np.mean([one.covered[np.abs(one.truth).argmax()] for one in searches])),
        half_width=50 * float(np.mean([one.high - one.low for one in searches])),
        num_intervals=len(covered),
    )
