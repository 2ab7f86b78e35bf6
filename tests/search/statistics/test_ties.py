"""Rounding decides nothing: equal values keep their order, others are sorted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.statistics.ties import ROUNDING, descending, index_of_largest, is_rounding, ranks

THIRD = 0.1 + 0.2  # 0.30000000000000004


def test_the_first_of_equal_values_wins() -> None:
    assert index_of_largest([0.1, 0.3, THIRD]) == 1
    assert index_of_largest([THIRD, 0.3, 0.1]) == 0
    assert index_of_largest([0.3, 0.3 + 2 * ROUNDING]) == 1


def test_equal_values_keep_their_order() -> None:
    assert descending([0.3, 0.5, THIRD, 0.3, 0.7]) == [4, 1, 0, 2, 3]
    assert ranks([0.3, 0.5, THIRD, 0.7]).tolist() == [2, 1, 2, 0]


def test_differences_are_measured_by_what_they_come_from() -> None:
    gains = [1e-16, 3e-16, 2e-16]
    assert descending(gains) == [1, 2, 0]
    assert descending(gains, tolerance=ROUNDING) == [0, 1, 2]
    assert is_rounding(1e-16, scale=1.0)
    assert not is_rounding(1e-16, scale=1e-10)


def test_nothing_and_infinity() -> None:
    assert descending([]) == []
    assert ranks([-np.inf, 1.0, np.inf, 1.0]).tolist() == [2, 1, 0, 1]
    with pytest.raises(ValueError, match="zero-size"):
        index_of_largest([])


@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=30),
    st.lists(st.floats(-1e-12, 1e-12), min_size=30, max_size=30),
)
def test_noise_changes_nothing(values: list[int], noise: list[float]) -> None:
    noisy = np.array(values) + np.array(noise[: len(values)])
    stable = sorted(range(len(values)), key=lambda k: -values[k])
    assert descending(noisy, tolerance=ROUNDING) == stable
    assert index_of_largest(noisy, tolerance=ROUNDING) == stable[0]
