"""Sources beside the best of their target."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from search.evidence.matrix.best_sources import Standing, compare_with_best
from search.evidence.matrix.noise import MatrixNoise
from search.evidence.outcomes import ArmOutcomes, Outcomes
from search.statistics.training_noise import NOTHING_KNOWN, SeedVariance

QUIET = MatrixNoise(shared=SeedVariance(variance=1e-4, freedom=10.0), num_arms=1)


def arm(num_right: int, *, num_questions: int = 400) -> ArmOutcomes:
    right = np.zeros((1, num_questions))
    right[0, :num_right] = 1
    names = tuple(f"q{k:03d}" for k in range(num_questions))
    return ArmOutcomes(sample_ids=names, right=right, seeds=(0,), is_trained=True)


def standings(numbers: dict[str, int], noise: MatrixNoise = QUIET) -> dict[str, Standing]:
    outcomes = Outcomes(lambda _: pd.DataFrame())
    arms = {name: arm(number) for name, number in numbers.items()}
    return {name: found.standing for name, found in compare_with_best(arms, outcomes, "x", noise, seed=0).items()}


def test_near_ones_are_ties_and_far_ones_are_behind() -> None:
    assert standings({"a": 300, "b": 296, "c": 200}) == {
        "a": Standing.best,
        "b": Standing.tied,
        "c": Standing.behind,
    }


def test_nobody_is_behind_where_training_noise_is_unknown_or_large() -> None:
    numbers = {"a": 300, "b": 200}
    assert standings(numbers, MatrixNoise(shared=NOTHING_KNOWN, num_arms=0))["b"] == Standing.unknown
    assert standings(numbers, MatrixNoise(shared=SeedVariance(variance=0.04, freedom=3.0), num_arms=1))["b"] == (
        Standing.tied
    )


def test_more_sources_ask_for_a_larger_distance() -> None:
    """The same distance tells two apart, and not one of fifty from the luckiest of the others."""
    few, many = {"a": 300, "b": 282}, {"a": 300, "b": 282, **{f"c{k}": 281 for k in range(50)}}
    assert standings(few)["b"] == Standing.behind
    assert standings(many)["b"] == Standing.tied


def test_of_equal_sources_the_first_by_name_leads() -> None:
    found = standings({"b": 300, "a": 300})
    assert found == {"a": Standing.best, "b": Standing.tied}


@pytest.mark.parametrize("names", [{}, {"a": 1}])
def test_one_source_or_none_is_compared_with_nothing(names: dict[str, int]) -> None:
    assert list(standings(names).values()) == [Standing.best] * len(names)
