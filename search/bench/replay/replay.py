"""One replay: a strategy asks, the table answers, and at checkpoints its pick is judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from search.bench.replay.coverage import Coverages, Judge
from search.bench.replay.problem import ReplayProblem
from search.strategies.interface import Observation, Recommender, Strategy, Suggestion
from search.strategies.ranking import best_observed

CHECKPOINTS: Final = (16, 24, 36, 48, 72, 96)
# Proposals that a table does not hold are not counted, but they must end.
MAX_MISSES: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """What a strategy would have chosen for a target after so many trials.

    Attributes:
        table: name of the table.
        strategy: name of the strategy.
        target: index of the target.
        repetition: which of the replays.
        trials: how many trials had run.
        regret: points below the oracle.
        coverages: of 90 % intervals, by what they are about; None without intervals.
        suggestion_s: mean time of a suggestion so far.
    """

    table: str
    strategy: str
    target: int
    repetition: int
    trials: int
    regret: float
    coverages: Coverages | None
    suggestion_s: float


def replay(
    problem: ReplayProblem,
    strategy: Strategy,
    *,
    label: str,
    repetition: int,
    checkpoints: Sequence[int] = CHECKPOINTS,
    on_pick: Callable[[Pick], None] | None = None,
    with_intervals: bool = True,
) -> list[Pick]:
    """Let a strategy search a table and judge its picks.

    Args:
        problem: the table and what is searched for.
        strategy: fresh, built with `problem.context`.
        label: name under which the picks go.
        repetition: decides which seed a composition is trained with.
        checkpoints: numbers of trials after which a pick is judged.
        on_pick: told of every pick.
        with_intervals: whether to look how many intervals hold the truth.
    """
    known = len(problem.context(repetition).known)
    proposed: list[Suggestion] = []
    results: list[Observation] = []
    picks: list[Pick] = []
    num_misses, spent_s = 0, 0.0
    while checkpoints and len(proposed) + known < max(checkpoints):
        num_ended = max(0, len(proposed) - problem.disturbance.delay)
        started = time.perf_counter()
        suggestion = strategy.ask(results[: num_ended + num_misses], [s.candidate for s in proposed[num_ended:]])
        spent_s += time.perf_counter() - started
        if suggestion is None:
            break
        if problem.row_of(suggestion.candidate) is None and num_misses < MAX_MISSES:
            num_misses += 1
            results.insert(0, problem.observe(suggestion.candidate, -num_misses, repetition))
            continue
        proposed.append(suggestion)
        results.append(problem.observe(suggestion.candidate, len(proposed) - 1, repetition))
        if len(proposed) + known in checkpoints:
            for target in problem.targets_searched():
                row = picked_row(problem, strategy, results, target)
                judge = Judge(problem, strategy, target, repetition) if with_intervals else None
                pick = Pick(
                    table=problem.table.name,
                    strategy=label,
                    target=target,
                    repetition=repetition,
                    trials=len(proposed) + known,
                    regret=problem.regret(row, target) if row is not None else _of_chance(problem, target),
                    coverages=None if judge is None else judge.coverages(results, proposed, row),
                    suggestion_s=spent_s / len(proposed),
                )
                picks.append(pick)
                if on_pick is not None:
                    on_pick(pick)
    return picks


def picked_row(problem: ReplayProblem, strategy: Strategy, results: Sequence[Observation], target: int) -> int | None:
    """The row that a strategy would choose: by its model if it has one, else what has scored best."""
    name = problem.target_names[target]
    if isinstance(strategy, Recommender):
        suggestion = strategy.recommend(results, target=name)
        row = None if suggestion is None else problem.row_of(suggestion.candidate)
        if row is not None:
            return row
    best = best_observed(results, name if target in problem.scored else None)
    return None if best is None else problem.row_of(best.candidate)


def _of_chance(problem: ReplayProblem, target: int) -> float:
    """Before any result a pick is any candidate."""
    return float(np.mean([problem.regret(row, target) for row in problem.candidate_rows.tolist()]))
