"""Which arms are worth another seed when the best of them is to be chosen: a race between finalists.

A confirmation that trains every finalist with every seed spends most of them where the choice has long been made. What
the remaining seeds would show is predicted from the noise between those that were trained (stochastic curtailment:
Lan, Simon and Halperin, Commun. Stat. C 1, 1982).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.statistics.ties import descending, index_of_largest
from search.statistics.training_noise import own_seed_variance

# Student's t has a mean above one degree of freedom; three arms with two seeds have three.
FEWEST_FREEDOM = 2


def worth_another_seed(
    arms: Sequence[NDArray[np.float64]],
    given_up: Sequence[NDArray[np.float64]] = (),
    *,
    most_seeds: int,
    least_loss: float,
) -> list[int]:
    """Places of the arms that could have the highest mean once all have `most_seeds` seeds.

    How far an arm would end above the leader has a predictive distribution, Student's t with the variance between
    seeds pooled over all arms. Arms are given up, the last ones first, while what is lost by that on average (expected
    opportunity cost: Chick and Inoue, Oper. Res. 49, 2001) stays within `least_loss` together.

    Args:
        arms: accuracy of each seed on the same questions, [num_seeds] for each arm that is trained still.
        given_up: of the arms that are not: they tell of the noise.
        most_seeds: how many an arm may have.
        least_loss: at this look, as a share.
    """
    every = list(range(len(arms)))
    noise = own_seed_variance([*arms, *given_up])
    if len(arms) < 2 or noise.freedom < FEWEST_FREEDOM:
        return every
    means = np.array([arm.mean() for arm in arms])
    leader = index_of_largest(means)
    to_come = np.array([max(0.0, 1 / len(arm) - 1 / most_seeds) for arm in arms])
    spreads = np.sqrt(noise.variance * (to_come + to_come[leader]))
    losses = [
        _expected_excess(float(mean - means[leader]), float(spread), noise.freedom)
        for mean, spread in zip(means, spreads, strict=True)
    ]
    order = [place for place in descending([-loss for loss in losses]) if place != leader]
    lost = np.cumsum([losses[place] for place in order])
    out = {place for place, sum_of in zip(order, lost, strict=True) if sum_of <= least_loss}
    return [place for place in every if place not in out]


def _expected_excess(behind: float, spread: float, freedom: float) -> float:
    """Mean of what lies above zero of `behind`, which is not positive, plus `spread` times Student's t."""
    from scipy.stats import t

    if spread == 0:
        return 0.0
    z = -behind / spread
    above = (freedom + z**2) / (freedom - 1) * float(t.pdf(z, freedom)) - z * float(t.sf(z, freedom))
    return spread * max(above, 0.0)
