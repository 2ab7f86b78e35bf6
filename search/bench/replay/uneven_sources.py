"""What it costs the search that every source gives all that it has, some a hundred times as much as others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.bench.known_truth.shipped import cluster_name
from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.many_replays import build_for
from search.bench.replay.problem import ReplayProblem
from search.bench.replay.regret import target_interval
from search.bench.replay.replay import replay
from search.statistics.intervals import Interval
from search.strategies.recombine import RecombineStrategy


@dataclass(frozen=True, kw_only=True, slots=True)
class UnevenFigure:
    """Regret of searches with equal and with uneven sources, on tables that answer both alike.

    Attributes:
        equal: mean over targets, in points, where all sources give the same number.
        uneven: the same where each gives what it has, 20 to 2,000.
        added: their difference.
        added_interval: 95 %, over targets.
        num_targets: how many.
    """

    equal: float
    uneven: float
    added: float
    added_interval: Interval
    num_targets: int


def compare_uneven(tables: Sequence[KnownTruthTable], *, num_trials: int, every_target: int) -> UnevenFigure:
    """Search every table for its targets one by one, with equal sources and with uneven ones."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for table in tables:
        for target in range(0, table.num_targets, every_target):
            pair = (_regret(table, target, num_trials, False), _regret(table, target, num_trials, True))
            found.setdefault((cluster_name(table.name), target), []).append(pair)
    means = np.array([np.mean(pairs, axis=0) for pairs in found.values()])
    added = means[:, 1] - means[:, 0]
    return UnevenFigure(
        equal=float(means[:, 0].mean()),
        uneven=float(means[:, 1].mean()),
        added=float(added.mean()),
        added_interval=target_interval(added),
        num_targets=len(means),
    )


def _regret(table: KnownTruthTable, target: int, num_trials: int, uneven: bool) -> float:
    problem = ReplayProblem(table, target=target, num_trials=num_trials, uneven=uneven)
    strategy = build_for(problem, RecombineStrategy.name, 0)
    picks = replay(problem, strategy, label="", repetition=0, checkpoints=(num_trials,), with_intervals=False)
    return picks[-1].regret
