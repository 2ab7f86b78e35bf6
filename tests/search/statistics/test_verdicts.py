"""Intervals, tests and verdicts against known values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.statistics.verdicts import (
    Verdict,
    benjamini_hochberg,
    detectable_beyond,
    holm,
    two_proportions,
    verdict,
)


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_plain_and_the_bonferroni_values(p_values: list[float]) -> None:
    for plain, adjusted in zip(p_values, holm(p_values), strict=True):
        assert plain <= adjusted + 1e-12
        assert adjusted <= min(1.0, plain * len(p_values)) + 1e-12


def test_the_detectable_difference_is_the_half_width_and_what_power_takes() -> None:
    assert detectable_beyond(1.959964 * 0.01, 0.01) == pytest.approx(0.02802, abs=1e-5)
    assert detectable_beyond(0.02, 0.01, power=0.5) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.01, 0.09), Verdict.better),
        ((-0.09, -0.01), Verdict.worse),
        ((-0.01, 0.11), Verdict.no_difference_detected),
        ((0.0, 0.1), Verdict.no_difference_detected),
        ((-0.1, 0.0), Verdict.no_difference_detected),
    ],
)
def test_verdicts(interval: tuple[float, float], expected: Verdict) -> None:
    assert verdict(interval) is expected


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
