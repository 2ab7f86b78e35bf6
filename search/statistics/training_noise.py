"""Training noise pooled over the arms of a study: two or three seeds an arm say little, ten arms say more.

The variance between the seeds of an arm is moderated towards what the study's other arms show (Smyth, Statist. Appl.
Genet. Mol. Biol. 3, 2004, "limma"): as much as these agree with each other. Where arms differ in their noise, as arms
that have solved a task and arms that guess do, little is borrowed.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# With fewer arms their agreement is not known, and nothing is borrowed.
FEWEST_ARMS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedVariance:
    """A variance between training seeds, and what it rests on.

    Attributes:
        variance: of the accuracy of one seed, as a share squared.
        freedom: its degrees of freedom; 0 where nothing is known.
    """

    variance: float
    freedom: float


NOTHING_KNOWN = SeedVariance(variance=0.0, freedom=0.0)


def own_seed_variance(arms: Sequence[NDArray[np.float64]]) -> SeedVariance:
    """The variance between seeds within the given arms, equal weights a degree of freedom.

    Args:
        arms: accuracy of each seed, [num_seeds] for each arm.
    """
    freedom = sum(len(arm) - 1 for arm in arms)
    if freedom < 1:
        return NOTHING_KNOWN
    squares = sum(float(((arm - arm.mean()) ** 2).sum()) for arm in arms)
    return SeedVariance(variance=squares / freedom, freedom=float(freedom))


def seed_variance_prior(
    arms: Sequence[NDArray[np.float64]], *, resolution: float, trainings: Sequence[Hashable] | None = None
) -> SeedVariance:
    """What the arms of a study say about the training noise of any of them.

    Args:
        arms: accuracy of each seed, [num_seeds] for each trained arm; arms of one seed say nothing.
        resolution: smallest step between two accuracies (1 / number of questions): seeds that agree exactly have
            not shown that there is no noise, only that it is finer than this.
        trainings: which training each arm is, where one is scored on several evaluation sets: a run moves its answers
            on all of them together, so they are no more degrees of freedom than one. None: each is its own.

    Returns:
        Its typical size as a variance, and as freedom how much the arms agree (Smyth's s0 and d0, by the moments of
        the logarithms); nothing where fewer than `FEWEST_ARMS` trainings have two seeds.
    """
    from scipy.special import polygamma, psi

    several = [arm for arm in arms if len(arm) > 1]
    names = range(len(arms)) if trainings is None else trainings
    freedoms = {name: float(len(arm) - 1) for name, arm in zip(names, arms, strict=True) if len(arm) > 1}
    if len(freedoms) < FEWEST_ARMS:
        return NOTHING_KNOWN
    floor = _floor(resolution)
    logs = np.array([math.log(max(own_seed_variance([arm]).variance, floor)) for arm in several])
    half = np.array([(len(arm) - 1) / 2 for arm in several])
    centred = logs - psi(half) + np.log(half)
    spread = float(centred.var(ddof=1) - polygamma(1, half).mean())  # above what chance alone gives
    most = sum(freedoms.values())  # the arms' number limits what can be known, however well they agree
    if spread <= 0:
        return SeedVariance(variance=max(own_seed_variance(several).variance, floor), freedom=most)
    freedom = 2 * _inverse_trigamma(spread)
    variance = math.exp(float(centred.mean()) + float(psi(freedom / 2)) - math.log(freedom / 2))
    return SeedVariance(variance=variance, freedom=min(freedom, most))


def borrowed_seed_variance(arms: Sequence[NDArray[np.float64]], *, resolution: float) -> SeedVariance:
    """What a study's repeated arms say about an arm of one seed: `seed_variance_prior`, or all of them together.

    With fewer than `FEWEST_ARMS` their agreement is not known and is taken for granted: a source or two is all that a
    large matrix can afford to repeat. Few degrees of freedom then make its intervals wide.

    Args:
        arms: accuracy of each seed, [num_seeds] for each trained arm; arms of one seed say nothing.
        resolution: as in `seed_variance_prior`.
    """
    several = [arm for arm in arms if len(arm) > 1]
    if len(several) >= FEWEST_ARMS:
        return seed_variance_prior(several, resolution=resolution)
    together = own_seed_variance(several)
    return replace(together, variance=max(together.variance, _floor(resolution))) if several else NOTHING_KNOWN


def moderated(own: SeedVariance, prior: SeedVariance) -> SeedVariance:
    """Both, weighted by their degrees of freedom; nothing where the arms themselves have one seed each."""
    if own.freedom < 1:
        return NOTHING_KNOWN
    freedom = own.freedom + prior.freedom
    variance = (own.variance * own.freedom + prior.variance * prior.freedom) / freedom
    return SeedVariance(variance=variance, freedom=freedom)


def answer_variance(right: NDArray[np.float64]) -> float:
    """The part of the variance between seeds that is their disagreement on single questions, not a shift of all.

    Resampling questions holds this part already (questions x seeds, the residual of two-way analysis of variance).

    Args:
        right: 0 or 1, [num_seeds, num_items]; with one row or column it is not known, and 0.
    """
    num_seeds, num_items = right.shape
    if num_seeds < 2 or num_items < 2:
        return 0.0
    residual = right - right.mean(axis=0) - right.mean(axis=1, keepdims=True) + right.mean()
    return float((residual**2).sum() / ((num_seeds - 1) * (num_items - 1)) / num_items)


def _floor(resolution: float) -> float:
    """The variance of two values half a step apart."""
    return (resolution / 2) ** 2 / 2


def _inverse_trigamma(value: float) -> float:
    """The argument at which the trigamma function is `value` (Newton's steps of Smyth 2004, appendix)."""
    from scipy.special import polygamma

    x: float = 0.5 + 1 / value
    for _ in range(50):
        at = float(polygamma(1, x))
        step: float = at * (1 - at / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x
