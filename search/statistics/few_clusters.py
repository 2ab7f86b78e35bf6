"""What resampling lacks where questions come from few patients: its variance is too small, its tails are too light.

The variance of a mean over G clusters, told from the clusters themselves, is too small by (G - 1) / G on average, and
that of a Bayesian bootstrap by another G / (G + 1) (Rubin, Ann. Statist. 9, 1981). It is so uncertain beside that its
quantiles are those of Student's t with G - 1 degrees of freedom (Cameron and Miller, J. Human Resources 50, 2015,
section VI). Clusters of unequal size count as fewer: as Kish's number of them (Carter, Schnepel and Steigerwald,
Rev. Econ. Statist. 99, 2017, where a cluster's questions stand or fall together).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets_spec.store.clusters import TOO_FEW_CLUSTERS, effective_clusters

FloatArray = NDArray[np.float64]


def tell_nothing(sizes: FloatArray) -> NDArray[np.bool_]:
    """Which sets have several questions a cluster and so few clusters that they tell nothing of others, [num_sets].

    Args:
        sizes: questions of each cluster in each set, [num_sets, num_clusters].
    """
    too_few = np.array([effective_clusters(each) <= TOO_FEW_CLUSTERS for each in sizes])
    return np.asarray(too_few & (sizes.max(axis=1) > 1))


def pseudo_sizes(sums: FloatArray, sizes: FloatArray, extremes: tuple[float, float]) -> FloatArray:
    """How many questions a pseudo-question of each set stands for, [num_sets]: one, or up to those of a cluster.

    Three patients who are right throughout do not show whether one could be wrong throughout. Where fewer questions
    than a cluster's came out otherwise, what was not seen is a cluster; where each question is one, it is a question.

    Args:
        sums: of the values of each cluster in each set, [num_sets, num_clusters].
        sizes: as in `mean_of_sets`.
        extremes: the values that a question may have at most and at least.
    """
    num, total = sizes.sum(axis=1), sums.sum(axis=1)
    counts = np.array([max(1.0, effective_clusters(each)) for each in sizes])
    of_cluster = np.maximum(1.0, num / counts)
    otherwise = np.minimum(max(extremes) * num - total, total - min(extremes) * num)
    return np.asarray(1 + (of_cluster - 1) * np.clip(1 - otherwise / of_cluster, 0, 1))


def mean_of_sets(draws: FloatArray, sizes: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draws of the mean over sets, [num_draws], with what they lack: nothing, where each question is a cluster.

    Args:
        draws: of a Bayesian bootstrap over clusters, of the mean of each set, [num_draws, num_sets].
        sizes: questions of each cluster in each set, [num_sets, num_clusters]; none in a set that tells nothing.
        rng: source of randomness.
    """
    deviations = draws - draws.mean(axis=0)
    # Of the sum over sets; and of that variance, by half (Satterthwaite, Biometrics 2, 1946).
    variance = uncertain = 0.0
    for sets in _sharing(sizes):
        has_clusters = sizes[sets].sum(axis=0).max() > 1
        for number in sets if has_clusters else ():
            count = effective_clusters(sizes[number])
            if count > 1:  # a set of one question has no variance of its own
                deviations[:, number] *= np.sqrt((count + 1) / (count - 1))
        own = float(deviations[:, sets].sum(axis=1).var())
        variance += own
        if has_clusters:
            # Sets that share patients err together: they have one variance, which is uncertain once.
            shares = sizes[sets] / sizes[sets].sum(axis=1, keepdims=True)
            uncertain += own**2 / max(1.0, effective_clusters(shares.mean(axis=0)) - 1)
    mean = draws.mean(axis=1)
    if uncertain == 0:
        return np.asarray(mean)
    freedom = variance**2 / uncertain
    tails = np.sqrt(freedom / rng.chisquare(freedom, len(draws)))
    return np.asarray(mean.mean() + tails * deviations.mean(axis=1))


def _sharing(sizes: FloatArray) -> list[NDArray[np.int_]]:
    """The numbers of the sets that share clusters, directly or through others."""
    is_in = (sizes > 0).astype(np.int_)
    reaches = (is_in @ is_in.T + np.eye(len(sizes), dtype=np.int_)) > 0
    for _ in range(len(sizes)):
        reaches = reaches @ reaches
    firsts = reaches.argmax(axis=1)
    return [np.flatnonzero(firsts == first) for first in np.unique(firsts)]
