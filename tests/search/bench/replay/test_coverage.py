"""Coverage is counted right where the posterior is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.coverage import Coverage, Group, Judge, covered
from search.bench.replay.problem import ReplayProblem
from search.bench.replay.regret import CoverageFigure, coverage_figure, untried_share
from search.bench.replay.replay import Pick
from search.space.candidate import Candidate
from search.strategies.interface import Observation, Predicted, Suggestion
from search.strategies.surrogate.gaussian_process import Prediction
from tests.makers.made_table import made_table

TARGET, NUM_SEEDS = 0, 4


def even_table() -> KnownTruthTable:
    """Every composition of four sources scores 0.5; with the seeds 0.1 and 0.3 below and above it."""
    made = made_table(num_sources=4, num_targets=2, num_seeds=NUM_SEEDS)
    luck = np.array([-0.3, -0.1, 0.1, 0.3])[:, None, None]
    return replace(made, val=np.broadcast_to(0.5 + luck, made.val.shape).copy())


class Known:
    """Says of compositions of two subsets that they score 0.5, of all others 0.9, with a given deviation."""

    name = "known"

    def __init__(self, deviation: float) -> None:
        self._deviation = deviation

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        return None

    def predict(
        self, history: Sequence[Observation], candidates: Sequence[Candidate], *, target: str | None = None
    ) -> Prediction:
        means = np.array([0.5 if len(candidate.composition) == 2 else 0.9 for candidate in candidates])
        return Prediction(mean=means, deviation=np.full(len(candidates), self._deviation))


def rows_of_size(problem: ReplayProblem, size: int) -> list[int]:
    return np.flatnonzero(problem.table.subsets.sum(1) == size).tolist()


def test_the_error_of_the_truth_is_part_of_the_comparison() -> None:
    prediction = Prediction(mean=np.zeros(4), deviation=np.full(4, 3.0))
    truth = np.array([4.9, -5.0, 8.2, -8.3])
    assert covered(truth, np.zeros(4), prediction) == Coverage(num_covered=1, num_intervals=4)
    assert covered(truth, np.full(4, 4.0), prediction) == Coverage(num_covered=3, num_intervals=4)


def test_the_seed_of_a_trial_is_left_out_of_its_truth() -> None:
    problem = ReplayProblem(even_table(), target=TARGET)
    deviation = np.sqrt(0.2 / 3)  # of one seed: squares of 0.3, 0.1, 0.1, 0.3, and three degrees of freedom
    assert problem.truth(3, TARGET, None) == pytest.approx((0.5, deviation / 2))
    assert problem.truth(3, TARGET, 0) == pytest.approx((0.6, deviation / np.sqrt(3)))


def test_every_group_has_its_own_intervals() -> None:
    problem = ReplayProblem(even_table(), target=TARGET)
    pairs, triples = rows_of_size(problem, 2), rows_of_size(problem, 3)
    results = [problem.observe(problem.candidate_of(row), index, 0) for index, row in enumerate([*pairs[:2], 14])]
    assert len(results[2].candidate.composition) == 4
    shown = [
        Suggestion(candidate=problem.candidate_of(row), reason="", predicted=Predicted(mean=mean, deviation=0.01))
        for row, mean in zip(triples, (0.5, 0.5, 0.5, 2.0), strict=True)
    ]
    shown.append(Suggestion(candidate=problem.candidate_of(0), reason="an opening"))
    found = Judge(problem, Known(0.01), TARGET, 0).coverages(results, shown, pick=pairs[2])
    assert found is not None
    # 0.9 is 0.4 off: 3.1 errors of a truth of four seeds
    assert found[Group.inside] == Coverage(num_covered=3, num_intervals=3)  # six pairs less two tried and the pick
    assert found[Group.outside] == Coverage(num_covered=0, num_intervals=8)  # four single sources and four triples
    assert found[Group.shown] == Coverage(num_covered=3, num_intervals=4)
    assert found[Group.finalists].num_intervals == 2
    wide = Judge(problem, Known(1.0), TARGET, 0).coverages(results, shown, pick=pairs[2])
    assert wide is not None
    assert wide[Group.outside] == Coverage(num_covered=8, num_intervals=8)


def test_what_is_shown_for_another_target_is_not_judged_for_this_one() -> None:
    problem = ReplayProblem(even_table(), target=None)
    name = problem.target_names[1]
    predicted = Predicted(mean=0.5, deviation=0.1, target=name)
    shown = [Suggestion(candidate=problem.candidate_of(5), reason="", predicted=predicted)]
    for target, num in ((0, 0), (1, 1)):
        found = Judge(problem, Known(0.1), target, 0).coverages([], shown, pick=None)
        assert found is not None
        assert found[Group.shown].num_intervals == num


def pick(target: int, inside: tuple[int, int], outside: tuple[int, int]) -> Pick:
    nothing = Coverage(num_covered=0, num_intervals=0)
    return Pick(
        table="t", strategy="a", target=target, repetition=0, trials=16, regret=0.0, suggestion_s=0.0,
        coverages={
            Group.inside: Coverage(num_covered=inside[0], num_intervals=inside[1]),
            Group.outside: Coverage(num_covered=outside[0], num_intervals=outside[1]),
            Group.finalists: nothing, Group.shown: nothing,
        },
    )  # fmt: skip


def test_figures_pool_intervals_and_their_interval_is_over_targets() -> None:
    picks = [pick(0, (9, 10), (1, 2)), pick(1, (27, 30), (0, 2))]
    assert coverage_figure(picks, Group.inside) == CoverageFigure(share=0.9, ci_low=0.9, ci_high=0.9, num_intervals=40)
    outside = coverage_figure(picks, Group.outside)
    assert outside is not None
    assert (outside.share, outside.ci_low, outside.ci_high) == (0.25, 0.0, 0.5)
    assert coverage_figure(picks, Group.shown) is None
    assert untried_share(picks) == 37 / 44
