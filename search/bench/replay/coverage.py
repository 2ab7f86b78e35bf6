"""Whether 90 % intervals hold nine in ten: for finalists, for candidates that were shown, and for all others.

The truth of a table is a mean over a few seeds and has an error of its own, which is counted. Where a trial was run,
its seed is left out of the truth: the model has seen that one's luck.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.bench.replay.problem import ReplayProblem
from search.seeds import derived_rng
from search.strategies.interface import Observation, Strategy, Suggestion
from search.strategies.ranking import score_of
from search.strategies.surrogate.extrapolation import extrapolation
from search.strategies.surrogate.gaussian_process import Prediction
from search.vocabulary import Status

Floats = NDArray[np.float64]
NUM_OTHERS: Final = 100
NUM_FINALISTS: Final = 2  # as many as a study confirms unless told otherwise
COVERAGE_QUANTILE: Final = 1.6449  # a central interval of 90 %


class Group(StrEnum):
    """What an interval is about."""

    finalists = "finalists"  # the pick and the best results, after the last trial
    shown = "shown"  # proposals with a prediction in their reason, before they were tried
    inside = "inside"  # others, of tried sizes
    outside = "outside"  # others, marked as extrapolation


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """How many of so many intervals held the truth."""

    num_covered: int
    num_intervals: int

    @property
    def share(self) -> float | None:
        """Of the intervals; None without any."""
        return self.num_covered / self.num_intervals if self.num_intervals else None


Coverages = Mapping[Group, Coverage]


def pooled(coverages: Iterable[Coverage]) -> Coverage:
    """All intervals together."""
    some = list(coverages)
    return Coverage(num_covered=sum(c.num_covered for c in some), num_intervals=sum(c.num_intervals for c in some))


def covered(truth: Floats, truth_error: Floats, prediction: Prediction) -> Coverage:
    """Count the intervals that hold the truth.

    Args:
        truth: [n] means over seeds.
        truth_error: [n] standard errors of these.
        prediction: n posteriors.
    """
    reach = COVERAGE_QUANTILE * np.hypot(prediction.deviation, truth_error)
    return Coverage(num_covered=int((np.abs(truth - prediction.mean) <= reach).sum()), num_intervals=len(truth))


class Judge:
    """Compares what a strategy predicts for a target with a table.

    Args:
        problem: the table and what is searched for.
        strategy: the one that searches.
        target: index of the target.
        repetition: decides which seed a composition was trained with.
    """

    def __init__(self, problem: ReplayProblem, strategy: Strategy, target: int, repetition: int) -> None:
        self._problem, self._target, self._repetition = problem, target, repetition
        self._name = problem.target_names[target]
        self._predict = getattr(strategy, "predict", None) if target in problem.scored else None

    def coverages(
        self, results: Sequence[Observation], shown: Sequence[Suggestion], pick: int | None
    ) -> Coverages | None:
        """Coverage by group after some trials; None where the strategy has no intervals.

        Args:
            results: all that ended.
            shown: all that was proposed.
            pick: row of what the strategy would choose.
        """
        if self._predict is None:
            return None
        finalists = self._finalists(results, pick)
        inside, outside = self._others(results, finalists)
        rows = {Group.finalists: finalists, Group.inside: inside, Group.outside: outside}
        found = {group: self._predicted(results, some) for group, some in rows.items()}
        return {**found, Group.shown: self._shown(shown)}

    def _finalists(self, results: Sequence[Observation], pick: int | None) -> list[int]:
        """The pick, and the best results after it, as a study confirms them."""
        scored = [(score, o) for o in results if (score := score_of(o, self._name)) is not None]
        scored.sort(key=lambda pair: (-pair[0], pair[1].proposal_index))
        best = [self._problem.row_of(o.candidate) for _, o in scored]
        return list(dict.fromkeys(row for row in (pick, *best) if row is not None))[:NUM_FINALISTS]

    def _others(self, results: Sequence[Observation], finalists: Sequence[int]) -> tuple[list[int], list[int]]:
        """Some rows that were neither tried nor chosen: of tried sizes, and of others."""
        problem = self._problem
        rng = derived_rng(self._repetition, problem.table.name, "coverage", self._target)
        seen = self._seen(results)
        free = [row for row in problem.candidate_rows.tolist() if row not in seen and row not in finalists]
        rows = rng.sample(free, min(NUM_OTHERS, len(free)))
        tried = [problem.candidate_of(row).composition for row in seen]
        marked = {row for row in rows if extrapolation(problem.candidate_of(row).composition, tried)}
        return [row for row in rows if row not in marked], [row for row in rows if row in marked]

    def _seen(self, results: Sequence[Observation]) -> dict[int, None]:
        """Rows with a result, in their order."""
        known = self._problem.context(self._repetition).known
        ended = [o.candidate for o in (*known, *results) if o.status is Status.finished]
        return dict.fromkeys(row for candidate in ended if (row := self._problem.row_of(candidate)) is not None)

    def _predicted(self, results: Sequence[Observation], rows: Sequence[int]) -> Coverage:
        candidates = [self._problem.candidate_of(row) for row in rows]
        prediction = self._predict(results, candidates, target=self._name) if rows and self._predict else None
        if prediction is None:
            return Coverage(num_covered=0, num_intervals=0)
        seen = self._seen(results)
        return covered(*self._truths(rows, [row in seen for row in rows]), prediction)

    def _shown(self, shown: Sequence[Suggestion]) -> Coverage:
        """Proposals were not tried when they were predicted: no seed of theirs had been seen."""
        searched = self._problem.target == self._target
        rows, means, deviations = [], [], []
        for suggestion in shown:
            predicted, row = suggestion.predicted, self._problem.row_of(suggestion.candidate)
            if predicted is None or row is None or not (predicted.target == self._name or searched):
                continue
            rows.append(row)
            means.append(predicted.mean)
            deviations.append(predicted.deviation)
        prediction = Prediction(mean=np.array(means), deviation=np.array(deviations))
        return covered(*self._truths(rows, [False] * len(rows)), prediction)

    def _truths(self, rows: Sequence[int], seen: Sequence[bool]) -> tuple[Floats, Floats]:
        pairs = [
            self._problem.truth(row, self._target, self._problem.seed_of(row, self._repetition) if is_seen else None)
            for row, is_seen in zip(rows, seen, strict=True)
        ]
        truth, error = np.array(pairs).reshape(-1, 2).T
        return truth, error
