"""A comparison judged together with others: one level decides its interval, its p-value and its word.

Bonferroni's single step: of m comparisons each is tested at alpha / m, and its interval has the confidence
1 - alpha / m, so that all m hold at once with probability 1 - alpha or more (simultaneous intervals), however they
depend on each other. Holm's steps find a little more, but the intervals that belong to them stop at zero for everything
they call different (Guilbaud, Biometrical Journal 50, 2008; Strassburger and Bretz, Statist. Med. 27, 2008) and say
nothing of its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from search.statistics.bootstrap import PairedDifference, two_sided_p
from search.statistics.intervals import Interval
from search.statistics.verdicts import ALPHA, Verdict, detectable_beyond, verdict

# A difference of two shares cannot lie outside: the interval where too few draws lie beyond its level.
WHOLE_RANGE = Interval(-1.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What one of several comparisons came to.

    Attributes:
        interval: simultaneous with those of the others, as shares; None where training noise is unknown, because an
            interval without it is too narrow to mean what it says.
        p_adjusted: two-sided, for the number judged together.
        verdict: says `better` or `worse` if, and only if, the interval excludes zero.
        minimum_detectable: true difference that would have been found four times in five, as a share.
        num_together: how many share the error rate.
    """

    interval: Interval | None
    p_adjusted: float
    verdict: Verdict
    minimum_detectable: float
    num_together: int

    def as_dict(self) -> dict[str, Any]:
        """What a file says of it, beside the difference and the interval that is not adjusted."""
        return {
            "simultaneous_low": None if self.interval is None else self.interval.low,
            "simultaneous_high": None if self.interval is None else self.interval.high,
            "p_adjusted": self.p_adjusted,
            "verdict": self.verdict.value,
            "minimum_detectable": self.minimum_detectable,
            "num_judged_together": self.num_together,
        }


def judge(paired: PairedDifference, *, num_together: int, alpha: float = ALPHA) -> Judgement:
    """Judge a comparison as one of `num_together`.

    Args:
        paired: the comparison.
        num_together: comparisons that share the error rate, times the finalists that the best was chosen among on the
            very same questions: the best of several is also the luckiest.
        alpha: chance of one false claim or more, and of one interval or more that misses.

    Raises:
        ValueError: `num_together` is not positive.
    """
    if num_together < 1:
        raise ValueError("a comparison is judged together with itself at least")
    interval = _interval(paired, num_together, alpha)
    half_width = (interval.high - interval.low) / 2
    return Judgement(
        interval=interval if paired.has_seed_noise else None,
        p_adjusted=min(1.0, num_together * paired.p_value),
        verdict=verdict(interval) if paired.has_seed_noise else Verdict.no_difference_detected,
        minimum_detectable=detectable_beyond(half_width, paired.standard_error),
        num_together=num_together,
    )


def _interval(paired: PairedDifference, num_together: int, alpha: float) -> Interval:
    """Ends at the draws that the test counts: zero is outside exactly when the adjusted p-value is below alpha."""
    num_draws = len(paired.draws)
    outside = min(int(alpha * num_draws / (2 * num_together)) + 2, num_draws)
    # The largest number of draws that may lie beyond an end, itself included; the p-value counts one more.
    while outside > 0 and num_together * two_sided_p(outside - 1, num_draws) >= alpha:
        outside -= 1
    if outside == 0:
        return WHOLE_RANGE
    return Interval(float(paired.draws[outside - 1]), float(paired.draws[num_draws - outside]))
