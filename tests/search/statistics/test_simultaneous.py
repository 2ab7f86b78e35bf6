"""Comparisons that share an arm: the adjusted p-value is Dunnett's, and never above Bonferroni's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.statistics.simultaneous import Family, against_one_arm


# Two-sided critical values for infinitely many degrees of freedom (Dunnett, Biometrics 20, 1964, table II).
@pytest.mark.parametrize(("num", "critical"), [(1, 1.96), (2, 2.21), (3, 2.35), (5, 2.51), (9, 2.69)])
def test_the_critical_values_are_dunnetts(num: int, critical: float) -> None:
    from scipy.stats import norm

    family = against_one_arm(2, [[2] * num])
    below, above = (family.adjusted(2 * float(norm.sf(critical + side))) for side in (0.006, -0.006))
    assert below < 0.05 < above


@given(st.floats(1e-4, 1), st.floats(1e-4, 1), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3))
def test_it_lies_between_the_plain_p_value_and_bonferronis_and_rises(
    first: float, second: float, num: int, num_places: int, num_choices: int
) -> None:
    family = against_one_arm(2, [[2, *[3] * (num - 1)]] * num_places, num_choices=num_choices)
    low, high = sorted((first, second))
    assert low <= family.adjusted(low) <= min(1.0, family.size * low) + 1e-9
    assert family.adjusted(low) <= family.adjusted(high)
    assert family.size == num * num_places * num_choices


def test_arms_of_unequal_seeds_miss_as_often_as_it_says() -> None:
    """Simulated: one arm of five seeds against arms of two and three, which share less of its noise."""
    rng, num = np.random.default_rng(0), 200_000
    seeds, mine = (2, 2, 3, 3), rng.standard_normal(num) / 5**0.5
    scores = [(mine - rng.standard_normal(num) / n**0.5) / (1 / 5 + 1 / n) ** 0.5 for n in seeds]
    missed = np.mean(np.max(np.abs(scores), axis=0) > 2.4)
    assert against_one_arm(5, [seeds]).adjusted(0.016395) == pytest.approx(missed, abs=0.002)


def test_an_arm_without_noise_of_its_own_claims_no_more_than_one_of_as_many_seeds() -> None:
    assert against_one_arm(2, [[0, 2]]) == against_one_arm(2, [[2, 2]])


def test_unrelated_comparisons_are_bonferronis() -> None:
    assert Family(num_unrelated=4).adjusted(0.01) == 0.04
    assert Family(num_unrelated=4).adjusted(0.5) == 1.0


def test_the_rule_of_integration_is_exact_to_what_is_printed() -> None:
    """Against a rule of ten thousand points."""
    from scipy.stats import norm

    bound, x = 2.5, np.linspace(-9, 9, 10_001)
    own = norm.cdf((bound - 0.5**0.5 * x) / 0.5**0.5) - norm.cdf((-bound - 0.5**0.5 * x) / 0.5**0.5)
    exact = 1 - np.trapezoid(norm.pdf(x) * own**9, x)
    assert against_one_arm(2, [[2] * 9]).adjusted(2 * float(norm.sf(bound))) == pytest.approx(exact, abs=1e-9)
