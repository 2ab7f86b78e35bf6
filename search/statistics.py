"""Intervals, tests and verdicts: how sure one can be, and of what.

Resampling lives in `resampling`; its two entry points are repeated here, so that statistics have one address.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from search.resampling import (
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
    "holm",
    "mcnemar_exact",
    "mean_accuracy",
    "minimum_detectable_difference",
    "paired_difference",
    "verdict",
    "wilson_interval",
]

# The customary error rates; a study may state its own.
ALPHA = 0.05
POWER = 0.8


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
