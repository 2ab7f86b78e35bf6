"""Intervals, tests and verdicts against known values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.statistics import Verdict, holm, mcnemar_exact, minimum_detectable_difference, verdict, wilson_interval


def test_wilson_against_the_formula_and_at_the_edges() -> None:
    low, high = wilson_interval(81, 263)
    # Newcombe, Statist. Med. 17 (1998), table I, method 3
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson_interval(0, 20).low == 0.0
    assert round(wilson_interval(0, 20).high, 4) == 0.1611
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="5 of 4"):
        wilson_interval(5, 4)


@given(st.integers(0, 300), st.integers(0, 300))
def test_wilson_holds_the_share_and_narrows(correct: int, wrong: int) -> None:
    low, high = wilson_interval(correct, correct + wrong)
    more = wilson_interval(correct * 4, (correct + wrong) * 4)
    assert 0 <= low <= high <= 1
    if correct + wrong:
        assert low - 1e-12 <= correct / (correct + wrong) <= high + 1e-12
        assert more.high - more.low < high - low


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_binomial_test_of_the_discordant_questions(b: int, c: int) -> None:
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert mcnemar_exact(b, c) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar_exact(b, c) == pytest.approx(mcnemar_exact(c, b))


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 3)


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_plain_and_the_bonferroni_values(p_values: list[float]) -> None:
    for plain, adjusted in zip(p_values, holm(p_values), strict=True):
        assert plain <= adjusted + 1e-12
        assert adjusted <= min(1.0, plain * len(p_values)) + 1e-12


def test_minimum_detectable_difference() -> None:
    assert minimum_detectable_difference(0.01) == pytest.approx(0.02802, abs=1e-5)
    assert minimum_detectable_difference(0.01, num_comparisons=10) > minimum_detectable_difference(0.01)


@pytest.mark.parametrize(
    ("difference", "ci", "p_adjusted", "expected"),
    [
        (0.05, (0.01, 0.09), 0.01, Verdict.better),
        (-0.05, (-0.09, -0.01), 0.01, Verdict.worse),
        (0.05, (0.01, 0.09), 0.06, Verdict.no_difference_detected),
        (0.05, (-0.01, 0.11), 0.01, Verdict.no_difference_detected),
        (0.0, (0.0, 0.0), 1.0, Verdict.no_difference_detected),
    ],
)
def test_verdicts(difference: float, ci: tuple[float, float], p_adjusted: float, expected: Verdict) -> None:
    assert verdict(difference, ci, p_adjusted) is expected
