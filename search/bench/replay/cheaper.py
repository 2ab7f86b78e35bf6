"""What is lost, and saved, by choosing the cheapest of the finalists within so many points of the best.

The cost of a composition is its number of sources, for each gives as many samples. Finalists are the model's first few
and the cheapest within those points on what the search saw; they are compared on fresh questions and other seeds, and
regret is taken with the seeds that are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from search.bench.known_truth.shipped import cluster_name
from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.many_replays import build_for
from search.bench.replay.problem import ReplayProblem
from search.bench.replay.regret import target_interval
from search.evidence.confirmation.training_cost import TrainingCost, cheapest_within
from search.statistics.intervals import Interval
from search.strategies.interface import Observation
from search.strategies.recombine import RecombineStrategy

NUM_FINALISTS: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class CheaperFigure:
    """One number of points.

    Attributes:
        within: points.
        cost: mean number of sources of what is chosen.
        regret: mean over targets, in points.
        added: regret minus that of choosing the best.
        added_interval: 95 %, over targets.
    """

    within: float
    cost: float
    regret: float
    added: float
    added_interval: Interval


def compare_cheaper(
    tables: Sequence[KnownTruthTable], *, num_trials: int, within: Sequence[float], every_target: int
) -> list[CheaperFigure]:
    """Search every table for its targets one by one, then choose within so many points; 0 is the best itself."""
    found: dict[float, dict[tuple[str, int], list[tuple[float, float]]]] = {points: {} for points in (0.0, *within)}
    for table in tables:
        for target in range(0, table.num_targets, every_target):
            problem = ReplayProblem(table, target=target, num_trials=num_trials)
            rows, seen = _ranked(problem, num_trials)
            for points, by_target in found.items():
                chosen = _chosen(table, target, rows, seen, points / 100)
                pair = (float(table.subsets[chosen].sum()), problem.regret(chosen, target))
                by_target.setdefault((cluster_name(table.name), target), []).append(pair)
    means = {points: np.array([np.mean(v, axis=0) for v in by_target.values()]) for points, by_target in found.items()}
    return [
        CheaperFigure(
            within=points,
            cost=float(values[:, 0].mean()),
            regret=float(values[:, 1].mean()),
            added=float((values - means[0.0])[:, 1].mean()),
            added_interval=target_interval((values - means[0.0])[:, 1]),
        )
        for points, values in means.items()
    ]


def _ranked(problem: ReplayProblem, num_trials: int) -> tuple[list[int], dict[int, float]]:
    """Rows that were tried, best by the model first, and what the search saw of each."""
    strategy = build_for(problem, RecombineStrategy.name, 0)
    assert isinstance(strategy, RecombineStrategy)
    assert problem.target is not None
    name = problem.target_names[problem.target]
    history: list[Observation] = []
    while len(history) < num_trials and (suggestion := strategy.ask(history, [])) is not None:
        history.append(problem.observe(suggestion.candidate, len(history), 0))
    rows = [row for c in strategy.ranked(history, name) if (row := problem.row_of(c)) is not None]
    seen = {row: o.scores[name] for o in history if o.scores and (row := problem.row_of(o.candidate)) is not None}
    return rows, seen


def _chosen(table: KnownTruthTable, target: int, rows: Sequence[int], seen: dict[int, float], within: float) -> int:
    costs = {row: TrainingCost(int(table.subsets[row].sum()), 0) for row in rows}
    finalists = list(rows[:NUM_FINALISTS])
    if within:
        cheap = rows[cheapest_within([costs[r] for r in rows], [seen[r] for r in rows], within)]
        finalists = list(dict.fromkeys([rows[0], cheap, *finalists]))[:NUM_FINALISTS]
    scores = [float(table.test[list(table.search_seeds), row, target].mean()) for row in finalists]
    return finalists[cheapest_within([costs[r] for r in finalists], scores, within)]
