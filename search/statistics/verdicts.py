"""Tests, several of them judged together, and what a comparison came to."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

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

    On average, that is. For exploratory tables, such as a transfer matrix; what a study claims is judged by
    `judgement.judge`. The order is kept.
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


def detectable_beyond(half_width: float, standard_error: float, *, power: float = POWER) -> float:
    """The true difference whose interval of this half width excludes zero with probability `power`.

    Args:
        half_width: of the interval that decides, as a share.
        standard_error: of the difference, as a share.
        power: chance of finding the difference.
    """
    from scipy.stats import norm

    return half_width + float(norm.ppf(power)) * standard_error


def verdict(interval: tuple[float, float]) -> Verdict:
    """What an interval of a difference allows to say: a word for a side only if all of it lies there.

    Args:
        interval: adjusted for the number of comparisons (see `judgement.judge`).
    """
    low, high = interval
    if low > 0:
        return Verdict.better
    return Verdict.worse if high < 0 else Verdict.no_difference_detected
