"""Interval, p-value and word of a comparison never contradict each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.statistics.bootstrap import PairedDifference, PairedItems, paired_difference, two_sided_p
from search.statistics.judgement import WHOLE_RANGE, judge
from search.statistics.simultaneous import Family, against_one_arm
from search.statistics.verdicts import ALPHA, Verdict, detectable_beyond


def drawn(draws: np.ndarray, *, has_seed_noise: bool = True) -> PairedDifference:
    draws = np.sort(draws)
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return PairedDifference(
        difference=float(draws.mean()), ci_low=float(np.quantile(draws, 0.025)),
        ci_high=float(np.quantile(draws, 0.975)), p_value=two_sided_p(beyond, len(draws)),
        standard_error=float(draws.std()), n=100, num_seeds=(2, 2), has_seed_noise=has_seed_noise, draws=draws,
    )  # fmt: skip


@settings(deadline=None)
@given(
    st.floats(-4.5, 4.5),
    st.integers(1, 300),
    st.lists(st.lists(st.integers(0, 5), min_size=1), max_size=3),
    st.sampled_from([0.01, 0.05, 0.1]),
    st.booleans(),
)
def test_the_word_the_interval_and_the_p_value_agree(
    shift: float, number: int, seeds: list[list[int]], alpha: float, has_seed_noise: bool
) -> None:
    together = against_one_arm(2, seeds, num_choices=number % 3 + 1) if seeds else Family(num_unrelated=number)
    draws = 0.01 * (shift + np.random.default_rng(number).standard_normal(2000))
    found = judge(drawn(draws, has_seed_noise=has_seed_noise), together=together, alpha=alpha)
    if not has_seed_noise:
        assert (found.interval, found.verdict) == (None, Verdict.no_difference_detected)
        return
    assert found.interval is not None
    excludes_zero = found.interval.low > 0 or found.interval.high < 0
    assert excludes_zero == (found.p_adjusted < alpha) == (found.verdict != Verdict.no_difference_detected)
    if found.verdict == Verdict.better:
        assert found.interval.low > 0
    if found.verdict == Verdict.worse:
        assert found.interval.high < 0


def test_more_comparisons_widen_the_interval_up_to_everything() -> None:
    paired = drawn(0.01 * (1 + np.random.default_rng(0).standard_normal(10_000)))
    widths = []
    for number in (1, 2, 5, 20, 100):
        interval = judge(paired, together=Family(num_unrelated=number)).interval
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert widths == sorted(widths)
    assert widths[0] == pytest.approx(paired.ci_high - paired.ci_low, rel=0.02)
    assert judge(paired, together=Family(num_unrelated=1000)).interval == WHOLE_RANGE
    hundred, thousand = (judge(paired, together=Family(num_unrelated=number)) for number in (100, 1000))
    assert thousand.minimum_detectable > hundred.minimum_detectable
    with pytest.raises(ValueError, match="at least"):
        judge(paired, together=Family(num_unrelated=0))


def test_a_difference_that_is_said_to_be_found_allows_for_the_questions_it_moves() -> None:
    """The noise was measured where both arms were equal; at the stated difference more questions differ."""
    paired = drawn(0.02 * np.random.default_rng(0).standard_normal(10_000))
    found = judge(paired, together=Family())
    assert found.interval is not None
    half_width = (found.interval.high - found.interval.low) / 2
    as_measured = detectable_beyond(half_width, paired.standard_error)
    share = found.minimum_detectable
    more = (1 + share * (1 - share) / paired.n / paired.standard_error**2) ** 0.5
    assert share == pytest.approx(more * as_measured, rel=1e-2)
    assert share > 1.1 * as_measured


def test_simultaneous_intervals_all_hold_as_often_as_they_say() -> None:
    missed, num_studies, num_together = 0, 120, 4
    for study in range(num_studies):
        rng = np.random.default_rng(study)
        mine = (rng.random((1, 200)) < 0.6).astype(float)  # shared by all comparisons, as a selection is
        for other in range(num_together):
            items = PairedItems(first=mine, second=(rng.random((1, 200)) < 0.6).astype(float))
            paired = paired_difference(
                [items], seed=other, first_is_trained=False, second_is_trained=False, num_resamples=2000
            )
            interval = judge(paired, together=against_one_arm(2, [[2] * num_together])).interval
            assert interval is not None
            if not interval.low <= 0 <= interval.high:
                missed += 1
                break
    assert missed / num_studies <= ALPHA + 2 * (ALPHA * (1 - ALPHA) / num_studies) ** 0.5
