"""What a second training of the likeliest candidates is worth to a search, beside as many new candidates.

The search sees a table's first seed, replicates its second, and regret is taken with the last, so that nobody is judged
by the luck that it has chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from datasets_spec.errors import UserError
from search.bench.known_truth.shipped import cluster_name
from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.many_replays import build_for
from search.bench.replay.problem import NUM_ORACLE, ReplayProblem
from search.bench.replay.regret import target_interval
from search.space.candidate import Candidate
from search.statistics.intervals import Interval
from search.statistics.ties import descending
from search.strategies.interface import Observation
from search.strategies.recombine import RecombineStrategy
from search.vocabulary import Status

SEEN, SECOND = 0, 1  # seeds of first trainings and of replicates
FEWEST_SEEDS: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicateFigure:
    """A search whose last trials are replicates.

    Attributes:
        num_replicates: of its trials; each of another candidate, the highest posterior mean of those trained once.
        regret: mean over targets, in points.
        regret_interval: 95 %, over targets.
        added: regret minus that of a search of new candidates only.
        added_interval: 95 %, over targets.
    """

    num_replicates: int
    regret: float
    regret_interval: Interval
    added: float
    added_interval: Interval


def compare_replicates(
    tables: Sequence[KnownTruthTable], *, num_trials: int, replicates: Sequence[int], every_target: int
) -> list[ReplicateFigure]:
    """Search every table for its targets one by one, with so many of the trials spent on replicates.

    Raises:
        UserError: a table has fewer than three seeds.
    """
    found: dict[int, dict[tuple[str, int], list[float]]] = {num: {} for num in (0, *replicates)}
    for table in tables:
        if table.val.shape[0] < FEWEST_SEEDS:
            raise UserError(f"{table.name} has {table.val.shape[0]} seeds; replicates are judged with three at least")
        for target in range(0, table.num_targets, every_target):
            for num, regret in _regrets(table, target, num_trials, replicates).items():
                found[num].setdefault((cluster_name(table.name), target), []).append(regret)
    means = {num: np.array([np.mean(values) for values in by_target.values()]) for num, by_target in found.items()}
    return [
        ReplicateFigure(
            num_replicates=num,
            regret=float(values.mean()),
            regret_interval=target_interval(values),
            added=float((values - means[0]).mean()),
            added_interval=target_interval(values - means[0]),
        )
        for num, values in means.items()
    ]


def _regrets(table: KnownTruthTable, target: int, num_trials: int, replicates: Sequence[int]) -> Mapping[int, float]:
    """Regret by number of replicates."""
    problem = ReplayProblem(table, target=target, num_trials=num_trials)
    strategy = build_for(problem, RecombineStrategy.name, 0)
    assert isinstance(strategy, RecombineStrategy)
    new: list[Observation] = []
    while len(new) < num_trials and (suggestion := strategy.ask(new, [])) is not None:
        new.append(_result(problem, suggestion.candidate, len(new), SEEN))
    found = {}
    for num in (0, *replicates):
        history, twice = new[: len(new) - num], set[str]()
        for _ in range(num):
            ranked = strategy.ranked(history, problem.target_names[target])
            again = next(candidate for candidate in ranked if candidate.identity not in twice)
            twice.add(again.identity)
            history = [*history, _result(problem, again, len(history), SECOND)]
        picked = strategy.recommend(history, target=problem.target_names[target])
        row = None if picked is None else problem.row_of(picked.candidate)
        assert row is not None
        found[num] = _regret(table, target, row)
    return found


def _result(problem: ReplayProblem, candidate: Candidate, index: int, seed: int) -> Observation:
    row = problem.row_of(candidate)
    assert row is not None
    assert problem.target is not None
    scores = {problem.target_names[t]: float(problem.table.val[seed, row, t]) for t in problem.scored}
    return Observation(
        candidate=candidate,
        values=(scores[problem.target_names[problem.target]],),
        status=Status.finished,
        proposal_index=index,
        scores=scores,
    )


def _regret(table: KnownTruthTable, target: int, row: int) -> float:
    """Points below the best few of the first two seeds, by the last seed."""
    best = descending(table.test[[SEEN, SECOND], :, target].mean(0))[:NUM_ORACLE]
    return 100 * float(table.test[-1, best, target].mean() - table.test[-1, row, target])
