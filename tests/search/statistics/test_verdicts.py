"""Intervals, tests and verdicts against known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.statistics.verdicts import (
    Interval,
    Verdict,
    benjamini_hochberg,
    clustered_interval,
    holm,
    mcnemar_exact,
    minimum_detectable_difference,
    two_proportions,
    verdict,
    wilson_interval,
)


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


def test_benjamini_hochberg_is_milder_than_holm_and_keeps_the_order() -> None:
    p_values = [0.001, 0.04, 0.02, 0.8]
    found = benjamini_hochberg(p_values)
    assert found == pytest.approx([0.004, 0.16 / 3, 0.04, 0.8])
    assert all(a <= b for a, b in zip(found, holm(p_values), strict=True))
    assert benjamini_hochberg([]) == []


def test_two_published_shares_are_compared_as_independent() -> None:
    assert two_proportions(0.72, 0.47, 100) < 0.001
    assert two_proportions(0.52, 0.49, 100) == pytest.approx(0.336, abs=0.002)
    assert two_proportions(0.3, 0.5, 100) > 0.99
    assert two_proportions(1.0, 1.0, 50) == 0.5
    with pytest.raises(ValueError, match="two shares"):
        two_proportions(0.5, 0.5, 0)


def test_five_patients_are_five_however_many_questions_they_get() -> None:
    rng = np.random.default_rng(0)
    each = rng.random(5) < 0.6
    interval, effective = clustered_interval(np.repeat(each, 100).tolist(), [k // 100 for k in range(500)])
    assert effective < 6
    plain = wilson_interval(int(each.sum()) * 100, 500)
    assert interval.high - interval.low > 4 * (plain.high - plain.low)


def test_clustered_intervals_cover_and_are_wilsons_for_single_questions() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        patients = np.repeat(np.clip(rng.normal(0.6, 0.25, 40), 0, 1), 6)
        interval, _ = clustered_interval((rng.random(240) < patients).tolist(), [k // 6 for k in range(240)])
        covered += interval.low <= 0.596 <= interval.high  # mean of the clipped normal
    assert 0.92 <= covered / 300 <= 0.985
    right = [1] * 130 + [0] * 70
    alone, effective = clustered_interval(right, list(range(200)))
    assert effective == pytest.approx(200, rel=0.01)
    assert alone == pytest.approx(wilson_interval(130, 200), abs=0.002)


def test_clustered_intervals_say_little_where_little_is_known() -> None:
    assert clustered_interval([1, 1, 1], ["a", "a", "a"]) == (Interval(0.0, 1.0), 1.0)
    interval, effective = clustered_interval([1] * 60, [k // 10 for k in range(60)])
    assert effective == 6
    assert interval.low < 0.6
    with pytest.raises(ValueError, match="group"):
        clustered_interval([1, 0], ["a"])
