"""A comparison judged together with others: one level decides its interval, its p-value and its word.

A single step: the p-value of a comparison is adjusted for its family (`simultaneous`), and its interval is that of the
level at which the adjusted p-value is alpha, so that all intervals hold at once with probability 1 - alpha or more.
Holm's steps find a little more, but the intervals that belong to them stop at zero for everything they call different
(Guilbaud, Biometrical Journal 50, 2008; Strassburger and Bretz, Statist. Med. 27, 2008) and say nothing of its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from search.statistics.bootstrap import PairedDifference, two_sided_p
from search.statistics.intervals import Interval
from search.statistics.simultaneous import Family
from search.statistics.verdicts import ALPHA, Verdict, detectable_beyond, verdict

# A difference of two shares cannot lie outside: the interval where too few draws lie beyond its level.
WHOLE_RANGE = Interval(-1.0, 1.0)
# Of the fixed point of the detectable difference; each step moves it by a tenth of the one before at most.
NUM_STEPS = 8
TINY = 1e-9


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


def judge(paired: PairedDifference, *, together: Family, alpha: float = ALPHA) -> Judgement:
    """Judge a comparison as one of a family.

    Args:
        paired: the comparison.
        together: the comparisons that share the error rate.
        alpha: chance of one false claim or more, and of one interval or more that misses.

    Raises:
        ValueError: the family is empty.
    """
    if together.size < 1:
        raise ValueError("a comparison is judged together with itself at least")
    interval = _interval(paired, together, alpha)
    return Judgement(
        interval=interval if paired.has_seed_noise else None,
        p_adjusted=together.adjusted(paired.p_value),
        verdict=verdict(interval) if paired.has_seed_noise else Verdict.no_difference_detected,
        minimum_detectable=_detectable(paired, (interval.high - interval.low) / 2),
        num_together=together.size,
    )


def _detectable(paired: PairedDifference, half_width: float) -> float:
    """The true difference found four times in five, with the noise that there would be at that difference.

    Two arms that differ by d disagree on a share d of the questions more than two equal ones do (the discordance of
    McNemar's test under the alternative: Connor, Biometrics 43, 1987), so the noise that was measured at a smaller
    difference is too small.
    """
    as_measured = detectable_beyond(half_width, paired.standard_error)
    found, seen = as_measured, min(abs(paired.difference), 1.0)
    for _ in range(NUM_STEPS):
        share = min(found, 1.0)
        more = max(0.0, share * (1 - share) - seen * (1 - seen)) / paired.n
        found = as_measured * (1 + more / max(paired.standard_error, TINY) ** 2) ** 0.5
    return found


def _interval(paired: PairedDifference, together: Family, alpha: float) -> Interval:
    """Ends at the draws that the test counts: zero is outside exactly when the adjusted p-value is below alpha."""
    num_draws = len(paired.draws)
    # The largest number of draws that may lie beyond an end, itself included; the p-value counts one more.
    outside, beyond = 0, num_draws // 2 + 1
    while beyond - outside > 1:
        middle = (outside + beyond) // 2
        claims = together.adjusted(two_sided_p(middle - 1, num_draws)) < alpha
        outside, beyond = (middle, beyond) if claims else (outside, middle)
    if outside == 0:
        return WHOLE_RANGE
    return Interval(float(paired.draws[outside - 1]), float(paired.draws[num_draws - outside]))
