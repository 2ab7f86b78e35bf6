from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.statistics.intervals import Interval, clustered_interval, wilson_interval


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
