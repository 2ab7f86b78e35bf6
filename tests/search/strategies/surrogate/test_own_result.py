"""What is expected of a candidate that its own result has chosen."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search.strategies.interface import Observation
from search.strategies.recombine import RecombineStrategy
from search.strategies.surrogate.gaussian_process import Prediction
from search.strategies.surrogate.own_result import allow_for_luck
from tests.search.strategies.test_recombine import accuracy, search, space

SHARE = st.floats(0.0, 1.0)
DEVIATION = st.floats(0.001, 0.3)


def prediction(mean: float, deviation: float) -> Prediction:
    return Prediction(mean=np.array([mean]), deviation=np.array([deviation]))


@given(SHARE, SHARE, DEVIATION, DEVIATION)
def test_it_lies_between_both_and_is_no_surer_than_the_surer(a: float, b: float, one: float, two: float) -> None:
    fair = allow_for_luck(prediction(a, one), prediction(b, two))
    assert min(a, b) - 1e-9 <= fair.mean[0] <= max(a, b) + 1e-9
    assert fair.deviation[0] >= min(one, two) - 1e-9
    assert fair.deviation[0] >= abs(a - b) / 2 - 1e-9


def noisy(history: list[Observation]) -> list[Observation]:
    """The same trials with one seed each: a deviation of 6 points between seeds."""
    draw = random.Random(3)
    return [replace(o, values=((o.values or (0.0,))[0] + draw.gauss(0, 0.06),)) for o in history]


def test_the_best_of_many_noisy_results_is_not_believed_whole() -> None:
    strategy = RecombineStrategy(space=space(), seed=0)
    made = noisy(search(strategy, 24))
    lucky = max(made, key=lambda o: o.values or (0.0,))
    index = made.index(lucky)
    spiked = [*made[:index], replace(lucky, values=((lucky.values or (0.0,))[0] + 0.15,)), *made[index + 1 :]]
    expected = strategy.predict(spiked, [lucky.candidate])
    others = strategy.predict([*made[:index], *made[index + 1 :]], [lucky.candidate])
    assert expected is not None
    assert others is not None
    result = (spiked[index].values or (0.0,))[0]
    assert others.mean[0] < expected.mean[0] < result - 0.03
    assert abs(expected.mean[0] - accuracy(lucky.candidate)) < 1.6449 * expected.deviation[0]


def test_two_results_of_a_candidate_are_left_to_the_process() -> None:
    strategy = RecombineStrategy(space=space(), seed=0)
    made = noisy(search(strategy, 20))
    lucky = max(made, key=lambda o: o.values or (0.0,))
    once = strategy.predict(made, [lucky.candidate])
    twice = strategy.predict([*made, replace(lucky, proposal_index=99)], [lucky.candidate])
    assert once is not None
    assert twice is not None
    assert twice.deviation[0] < once.deviation[0]


def test_a_recommendation_says_what_to_expect_when_it_is_trained_again() -> None:
    strategy = RecombineStrategy(space=space(), seed=0)
    found = strategy.recommend(noisy(search(strategy, 20)))
    assert found is not None
    assert "expected again" in found.reason
    assert "(90 %: " in found.reason
