"""Several comparisons judged together: what the p-value of one becomes, so that all hold at once.

Comparisons of one arm with several others share that arm, so they miss together more often than by chance, and
Dunnett's procedure (J. Amer. Statist. Assoc. 50, 1955) spends what Bonferroni's bound wastes on that. The correlation
of two comparisons is the product of two loadings, one for each of the other arms, so the probability that all stay
within a bound is an integral over one number, whatever their count (Dunnett 1955; Hsu, Multiple Comparisons, 1996,
section 3.1.1). It is taken by a fixed rule: no drawn numbers, no error that could matter. Critical values are those of
normal noise; with Student's t the correlation of tails is higher, and the same values err towards caution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

# Nodes of the Gauss-Hermite rule: with loadings up to 1/2 its error is below 1e-10 (tests/statistics).
NUM_NODES = 64
# Squared, where both arms have as many seeds; more is not claimed where the other arm has none of its own noise.
EQUAL_LOADING = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Comparisons that share an error rate.

    Attributes:
        loadings: for each evaluation set, the squared loadings of the arms that one arm is compared with; sets are
            taken as independent, which the Gaussian correlation inequality (Royen, 2014) makes an upper bound.
        num_unrelated: comparisons of which nothing is known, for which Bonferroni's bound stands.
    """

    loadings: tuple[tuple[float, ...], ...] = ()
    num_unrelated: int = 1

    @property
    def size(self) -> int:
        """How many are judged together."""
        return self.num_unrelated * max(1, sum(map(len, self.loadings)))

    def adjusted(self, p_value: float) -> float:
        """The two-sided p-value of one comparison, for all of them; never below it."""
        if not self.loadings:
            return min(1.0, self.num_unrelated * p_value)
        from scipy.stats import norm

        bound = float(norm.isf(min(p_value, 1.0) / 2))
        inside = math.prod(_all_within(bound, place) for place in self.loadings)
        return min(1.0, self.num_unrelated * max(p_value, 1 - inside))


def against_one_arm(num_seeds: int, others: Sequence[Sequence[int]], *, num_choices: int = 1) -> Family:
    """The family of one arm's comparisons.

    Args:
        num_seeds: of the arm that is in all comparisons.
        others: seeds of the arms that it is compared with, for each evaluation set; 0 for an arm that is not trained.
        num_choices: among how many arms it was chosen on the same questions: the best of several is also the luckiest.
    """
    loadings = tuple(
        tuple(EQUAL_LOADING if seeds == 0 else min(EQUAL_LOADING, seeds / (seeds + num_seeds)) for seeds in place)
        for place in others
        if place
    )
    return Family(loadings=loadings, num_unrelated=num_choices)


def _all_within(bound: float, loadings: Sequence[float]) -> float:
    """Chance that normal numbers with correlations sqrt(a_i a_j) are all at most `bound` from zero."""
    from scipy.special import ndtr

    nodes, weights = _rule()
    shared = np.sqrt(np.asarray(loadings))[:, None] * nodes  # [comparisons, nodes]
    own = np.sqrt(1 - np.asarray(loadings))[:, None]
    each = ndtr((bound - shared) / own) - ndtr((-bound - shared) / own)
    return float(weights @ each.prod(axis=0))


@cache
def _rule() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights for the expectation over a standard normal number."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NUM_NODES)
    return nodes, weights / math.sqrt(2 * math.pi)
