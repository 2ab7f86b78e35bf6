"""What stopped trials are worth to a search: replays in which trials stop at rungs, and teach there or do not.

The networks of a digits table are trained again as they are proposed, for their answers at the rungs; results and
regret are the table's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search.bench.known_truth.digits import DigitsCorpus
from search.bench.known_truth.digits_rungs import answers_at_rungs
from search.bench.known_truth.digits_training import start_network
from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.problem import ReplayProblem
from search.bench.replay.replay import picked_row
from search.engine.rungs import decide
from search.statistics.intervals import Interval
from search.strategies.interface import Observation, Strategy
from search.strategies.registry import build_strategy
from search.study.spec import EarlyStoppingSection
from search.vocabulary import Status

WAYS: Final = ("nothing is stopped", "stopped and dropped", "stopped and learned from")
RULE: Final = EarlyStoppingSection(enabled=True, reference="mean")
NUM_DRAWS: Final = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppedFigure:
    """One way of dealing with stopped trials, after so many trials.

    Attributes:
        way: out of `WAYS`.
        trials: proposals, stopped ones included.
        steps: share of all steps that was made.
        regret: points below the oracle, mean over targets.
        regret_interval: 95 % over (corpus, target).
        added: regret minus that of the way before it in `WAYS`, on the same targets.
        added_interval: of that.
    """

    way: str
    trials: int
    steps: float
    regret: float
    regret_interval: Interval
    added: float
    added_interval: Interval


class RungAnswers:
    """Answers of a corpus's networks at the rungs, trained when asked for."""

    def __init__(self, corpus: DigitsCorpus, problem: ReplayProblem) -> None:
        self._corpus, self._problem = corpus, problem
        self._start = start_network(corpus.start)
        self._known: dict[tuple[int, int], list[list[NDArray[np.bool_]]]] = {}

    def at(self, row: int, repetition: int) -> list[list[NDArray[np.bool_]]]:
        """For every rung and target, which questions are answered rightly."""
        key = (row, self._problem.seed_of(row, repetition))
        if key not in self._known:
            self._known[key] = answers_at_rungs(
                self._start, self._corpus, self._problem.table.subsets[row], key[1], RULE.rungs
            )
        return self._known[key]


def replay_with_rungs(
    problem: ReplayProblem, strategy: Strategy, answers: RungAnswers, way: str, checkpoints: Sequence[int]
) -> Iterator[tuple[int, float, float]]:
    """Search for one target; yields trials, share of the steps made and regret at every checkpoint."""
    assert problem.target is not None
    # The rule reads nothing of a study but its section.
    spec: Any = type("Spec", (), {"early_stopping": RULE})()
    seen: list[list[Mapping[str, str]]] = [[] for _ in RULE.rungs]
    results: list[Observation] = []
    made: list[float] = []
    while len(results) < max(checkpoints):
        suggestion = strategy.ask(results, [])
        if suggestion is None:
            return
        observation = problem.observe(suggestion.candidate, len(results), 0)
        row = problem.row_of(suggestion.candidate)
        made.append(1.0)
        rungs: dict[int, dict[str, float]] = {}
        if way != WAYS[0] and row is not None:
            for rung, right in enumerate(answers.at(row, 0)):
                mine = {str(problem.target): "".join("1" if r else "0" for r in right[problem.target])}
                goes_on = decide(mine, seen[rung], spec).goes_on
                seen[rung].append(mine)
                rungs[rung] = {name: float(r.mean()) for name, r in zip(problem.target_names, right, strict=True)}
                if not goes_on:
                    made[-1] = RULE.rungs[rung]
                    observation = replace(observation, values=None, status=Status.stopped_early, scores=rungs[rung])
                    break
        results.append(replace(observation, rungs=rungs if way == WAYS[2] else {}))
        if len(results) in checkpoints:
            pick = picked_row(problem, strategy, results, problem.target)
            assert pick is not None  # the first trials are never stopped
            yield len(results), float(np.mean(made)), problem.regret(pick, problem.target)


def compare_ways(
    corpora: Sequence[tuple[KnownTruthTable, DigitsCorpus]], *, checkpoints: Sequence[int], every_target: int
) -> list[StoppedFigure]:
    """Replay every way on the same targets of some corpora with `recombine`."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for table, corpus in corpora:
        for target in range(0, table.num_targets, every_target):
            problem = ReplayProblem(table, target=target, num_trials=max(checkpoints))
            answers = RungAnswers(corpus, problem)
            for way in WAYS:
                strategy = build_strategy("recombine", space=problem.space, seed=0, context=problem.context(0))
                for trials, steps, regret in replay_with_rungs(problem, strategy, answers, way, checkpoints):
                    found.setdefault((way, trials), []).append((steps, regret))
    return [_figure(found, way, trials) for trials in checkpoints for way in WAYS]


def _figure(found: Mapping[tuple[str, int], Sequence[tuple[float, float]]], way: str, trials: int) -> StoppedFigure:
    steps, regrets = np.array(found[way, trials]).T
    before = np.array(found[WAYS[max(0, WAYS.index(way) - 1)], trials])[:, 1]
    drawn = np.random.default_rng(0).integers(len(regrets), size=(NUM_DRAWS, len(regrets)))

    def interval(values: NDArray[np.float64]) -> Interval:
        low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
        return Interval(float(low), float(high))

    return StoppedFigure(
        way=way,
        trials=trials,
        steps=float(steps.mean()),
        regret=float(regrets.mean()),
        regret_interval=interval(regrets),
        added=float((regrets - before).mean()),
        added_interval=interval(regrets - before),
    )
