"""Intervals, tests and verdicts: how sure one can be, and of what.

Resampling lives in `resampling`; its two entry points are repeated here, so that statistics have one address.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from enum import StrEnum

from search.statistics.bootstrap import (
    Interval,
    PairedDifference,
    PairedItems,
    mean_accuracy,
    paired_difference,
)

__all__ = [
    "Interval",
    "PairedDifference",
    "PairedItems",
    "Verdict",
    "benjamini_hochberg",
    "clustered_interval",
    "holm",
    "mcnemar_exact",
    "mean_accuracy",
    "minimum_detectable_difference",
    "paired_difference",
    "two_proportions",
    "verdict",
    "wilson_interval",
]

# The customary error rates; a study may state its own.
ALPHA = 0.05
POWER = 0.8
# Share of false entries that is accepted among those a large exploratory table points out.
FALSE_DISCOVERY_RATE = 0.1


class Verdict(StrEnum):
    """What a comparison came to. That nothing was found is a result of its own, not a defeat."""

    better = "better"
    no_difference_detected = "no difference detected"
    worse = "worse"


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


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact p-value of McNemar's test (Psychometrika 12, 1947) for two fixed models on the same questions.

    It knows nothing of training noise: for recipes and compositions use `paired_difference` over seeds.

    Args:
        b: questions that only the first model got right.
        c: questions that only the second model got right.

    Raises:
        ValueError: a count is negative.
    """
    if b < 0 or c < 0:
        raise ValueError("counts of questions cannot be negative")
    from statsmodels.stats.contingency_tables import mcnemar

    return float(mcnemar([[0, b], [c, 0]], exact=True).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm, Scand. J. Statist. 6, 1979): the chance of one false claim or more stays below alpha.

    Holds however the comparisons depend on each other. The order of `p_values` is kept; none gives none.
    """
    # Written out: statsmodels' multipletests takes 0.14 s a call (measured, 0.15.0).
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Benjamini and Hochberg, JRSS B 57, 1995): of what stays below q, a share q is false at most.

    On average, that is. For exploratory tables, such as a transfer matrix; what a study claims is adjusted by `holm`.
    The order is kept.
    """
    if not p_values:
        return []
    from scipy.stats import false_discovery_control

    return [float(p) for p in false_discovery_control(p_values, method="bh")]


def two_proportions(first: float, second: float, n: int) -> float:
    """One-sided p-value that the first of two accuracies is higher, each measured on `n` questions.

    The score test with pooled variance, for published accuracies whose answers are not known: it takes the two as
    independent, which is all that can be done with them; with answers at hand use `paired_difference`.

    Args:
        first: accuracy as a share.
        second: accuracy as a share.
        n: questions of each.

    Raises:
        ValueError: `n` is not positive, or an accuracy is no share.
    """
    if n < 1 or not (0 <= first <= 1 and 0 <= second <= 1):
        raise ValueError(f"two shares of at least one question are needed, found {first}, {second} of {n}")
    from scipy.stats import norm

    pooled = (first + second) / 2
    if pooled in (0.0, 1.0):
        return 0.5  # both are at the same end: nothing speaks for either
    return float(norm.sf((first - second) / (2 * pooled * (1 - pooled) / n) ** 0.5))


def clustered_interval(
    correct: Sequence[bool | int], groups: Sequence[Hashable], confidence: float = 0.95
) -> tuple[Interval, float]:
    """Wilson's interval for questions that come in groups (patients, studies), and the effective number of questions.

    The number of questions is divided by the design effect, the ratio of the cluster-robust to the plain variance
    of the mean, and quantiles are Student's t with one degree of freedom less than there are groups (Korn and
    Graubard, Survey Methodology 24, 1998). Few groups give wide intervals: five patients are five, however many
    questions are asked about them.

    Args:
        correct: 0 or 1, a question each.
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
    codes = np.unique([str(group) for group in groups], return_inverse=True)[1]
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


def minimum_detectable_difference(
    standard_error: float, *, alpha: float = ALPHA, power: float = POWER, num_comparisons: int = 1
) -> float:
    """The true difference that this comparison would have found with probability `power`.

    (z(1 - alpha / 2m) + z(power)) * standard_error, the two-sided power formula for paired questions of Miller,
    "Adding error bars to evals" (arXiv:2411.00640, section 5), with Bonferroni's alpha / m for the first of Holm's
    steps: what is stated holds even for the comparison that is judged most strictly.

    Args:
        standard_error: of the difference, as a share (see `PairedDifference.standard_error`).
        alpha: chance of a false claim.
        power: chance of finding the difference.
        num_comparisons: how many comparisons share `alpha` (m).
    """
    from scipy.stats import norm

    strictness = norm.ppf(1 - alpha / (2 * num_comparisons)) + norm.ppf(power)
    return float(strictness * standard_error)


def verdict(difference: float, ci: tuple[float, float], p_adjusted: float, alpha: float = ALPHA) -> Verdict:
    """Judge a comparison: a claim needs the adjusted p-value and the interval on the same side.

    Args:
        difference: first arm minus second.
        ci: its interval.
        p_adjusted: adjusted for the number of comparisons.
        alpha: chance of one false claim or more.
    """
    if p_adjusted >= alpha or ci[0] <= 0 <= ci[1]:
        return Verdict.no_difference_detected
    return Verdict.better if difference > 0 else Verdict.worse
