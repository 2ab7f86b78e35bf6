"""Intervals of shares, also for questions in groups."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def wilson_interval(correct: float, n: int, confidence: float = 0.95) -> Interval:
    """The score interval of a share (Wilson, JASA 22, 1927), which keeps its coverage at small n and near 0 and 1.

    Args:
        correct: number of right answers; the sum of marks between 0 and 1, whose interval is then too wide, if any.
        n: number of questions; 0 gives the interval [0, 1].
        confidence: between 0 and 1.

    Raises:
        ValueError: `correct` is not between 0 and `n`.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n} questions cannot be right")
    if n == 0:
        return Interval(0.0, 1.0)
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(correct, n, alpha=1 - confidence, method="wilson")
    return Interval(float(low), float(high))


def clustered_interval(
    correct: Sequence[float], groups: Sequence[Hashable], confidence: float = 0.95
) -> tuple[Interval, float]:
    """Wilson's interval for questions that come in groups (patients, studies), and the effective number of questions.

    The number of questions is divided by the design effect, the ratio of the cluster-robust to the plain variance
    of the mean, and quantiles are Student's t with one degree of freedom less than there are groups (Korn and
    Graubard, Survey Methodology 24, 1998). Few groups give wide intervals: five patients are five, however many
    questions are asked about them.

    Args:
        correct: 0 or 1, a question each; means over seeds lie between, and their interval is rather too wide.
        groups: the patient or study of each.
        confidence: between 0 and 1.

    Raises:
        ValueError: no question, or not one group a question.
    """
    import numpy as np
    from scipy.stats import norm, t

    right = np.asarray(correct, dtype=np.float64)
    if not len(right) or len(right) != len(groups):
        raise ValueError("each question needs a group, and there must be one at least")
    # Numbered as they come: patients' names differ from store to store, and the order of a sum decides its last digit.
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(str(group), len(numbers)) for group in groups])
    num_groups, n, share = int(codes.max()) + 1, len(right), float(right.mean())
    if num_groups == 1:
        return Interval(0.0, 1.0), 1.0
    residuals = np.bincount(codes, weights=right - share)
    robust = num_groups / (num_groups - 1) * float((residuals**2).sum()) / n**2
    plain = share * (1 - share) / n
    # All right or all wrong shows no variance between groups: then each group is one question, to be careful.
    effective = float(num_groups) if plain == 0 else min(1.0, plain / max(robust, 1e-12)) * n
    tail = 1 - (1 - confidence) / 2
    adjusted = effective * float(norm.ppf(tail) / t.ppf(tail, num_groups - 1)) ** 2
    z2 = float(norm.ppf(tail)) ** 2
    centre = (share + z2 / (2 * adjusted)) / (1 + z2 / adjusted)
    half = z2**0.5 / (1 + z2 / adjusted) * (share * (1 - share) / adjusted + z2 / (4 * adjusted**2)) ** 0.5
    return Interval(max(0.0, centre - half), min(1.0, centre + half)), effective
