"""Whether what is best for one model is best for another: transfer matrices of several models, repeated with seeds.

Before two models are compared, one must know how far two trainings of the same model agree. Both are said here, with
intervals over targets: the rank correlation of sources, target by target, between two seeds of one model and between
the means of two models; and for every target which sources cannot be told from the best one (comparisons with the best,
Hsu, Multiple Comparisons, 1996, chapter 4: all the others against it, judged together).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.statistics.intervals import Interval
from search.statistics.simultaneous import against_one_arm
from search.statistics.ties import index_of_largest, is_rounding, ranks
from search.statistics.training_noise import own_seed_variance
from search.statistics.verdicts import ALPHA

NUM_DRAWS: Final = 4000
# With fewer sources an order is no order.
FEWEST_SOURCES: Final = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far two sides agree on the order of sources, target by target.

    Attributes:
        first: name of a side.
        second: name of the other.
        correlation: mean over targets of Spearman's rank correlation.
        interval: 95 % over targets.
        same_best: share of the targets with the same best source.
        num_targets: on which both have `FEWEST_SOURCES` common sources or more.
    """

    first: str
    second: str
    correlation: float
    interval: Interval
    same_best: float
    num_targets: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BestSource:
    """The best source of a target on one model.

    Attributes:
        target: its name.
        best: the source with the highest mean.
        ties: sources that cannot be told from it; with one seed that is every other.
        num_sources: measured on this target.
    """

    target: str
    best: str
    ties: tuple[str, ...]
    num_sources: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """One model's transfer matrix.

    Attributes:
        backbone: its name.
        values: [seeds, sources, targets]; NaN where not measured.
        sources: names.
        targets: names.
    """

    backbone: str
    values: Floats
    sources: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def means(self) -> Floats:
        """[sources, targets] over the seeds that were measured; NaN where none was."""
        known = np.isfinite(self.values)
        counts = known.sum(0)
        total = np.where(known, self.values, 0.0).sum(0)
        return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def best_sources(matrix: Matrix, *, alpha: float = ALPHA) -> list[BestSource]:
    """For every target the best source and those that cannot be told from it.

    Training noise is pooled over the sources of a target.

    Args:
        matrix: of one model.
        alpha: chance that the source which is truly best is called worse than another, of a target's sources together.
    """
    found = []
    for place, target in enumerate(matrix.targets):
        arms = {
            source: values[np.isfinite(values)]
            for source, values in zip(matrix.sources, matrix.values[:, :, place].T, strict=True)
            if np.isfinite(values).any()
        }
        if len(arms) > 1:
            found.append(_best_of(target, arms, alpha))
    return found


def _best_of(target: str, arms: Mapping[str, Floats], alpha: float) -> BestSource:
    from scipy.stats import t

    names = list(arms)
    best = names[index_of_largest([float(arms[name].mean()) for name in names])]
    noise = own_seed_variance(list(arms.values()))
    others = [name for name in names if name != best]
    family = against_one_arm(len(arms[best]), [[len(arms[name]) for name in others]])
    ties = []
    for name in others:
        lead = float(arms[best].mean() - arms[name].mean())
        error = (noise.variance * (1 / len(arms[best]) + 1 / len(arms[name]))) ** 0.5
        if noise.freedom < 1:
            ties.append(name)
            continue
        if is_rounding(error, scale=1.0):
            is_tie = is_rounding(lead, scale=1.0)
        else:
            # Student's t where noise is estimated; its adjustment is that of normal noise, on the careful side.
            is_tie = family.adjusted(2 * float(t.sf(lead / error, noise.freedom))) >= alpha
        if is_tie:
            ties.append(name)
    return BestSource(target=target, best=best, ties=tuple(ties), num_sources=len(names))


def between_seeds(matrix: Matrix) -> Agreement | None:
    """How far two trainings of one model agree: the mean over pairs of seeds; None with one seed."""
    pairs = list(combinations(range(len(matrix.values)), 2))
    if not pairs:
        return None
    by_pair = [_by_target(matrix.values[a], matrix.values[b]) for a, b in pairs]
    return _agreement(f"{matrix.backbone}, a seed", "another", _mean_by_target(by_pair))


def between_backbones(matrices: Sequence[Matrix]) -> list[Agreement]:
    """How far every two models agree, each by the mean of its seeds; they share sources and targets in order."""
    found = []
    for first, second in combinations(matrices, 2):
        agreement = _agreement(first.backbone, second.backbone, _by_target(first.means, second.means))
        if agreement is not None:
            found.append(agreement)
    return found


def _by_target(first: Floats, second: Floats) -> dict[int, tuple[float, float]]:
    """Correlation and whether the best is the same, of every target with sources enough."""
    found = {}
    for target in range(first.shape[1]):
        known = np.isfinite(first[:, target]) & np.isfinite(second[:, target])
        one, other = first[known, target], second[known, target]
        if len(one) >= FEWEST_SOURCES:
            found[target] = (rank_correlation(one, other), float(index_of_largest(one) == index_of_largest(other)))
    return found


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's, where values that differ by rounding are equal; 0 where a side does not order anything."""
    from scipy.stats import rankdata

    first, second = (rankdata(ranks(side)) for side in (one, other))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _mean_by_target(many: Sequence[Mapping[int, tuple[float, float]]]) -> dict[int, tuple[float, float]]:
    targets = sorted({target for found in many for target in found})
    means = {t: np.mean([found[t] for found in many if t in found], axis=0) for t in targets}
    return {target: (float(mean[0]), float(mean[1])) for target, mean in means.items()}


def _agreement(first: str, second: str, found: Mapping[int, tuple[float, float]]) -> Agreement | None:
    if not found:
        return None
    values = np.array(list(found.values()))
    drawn = np.random.default_rng(0).integers(len(values), size=(NUM_DRAWS, len(values)))
    low, high = np.quantile(values[drawn, 0].mean(1), [0.025, 0.975])
    correlation, same = values.mean(0).tolist()
    return Agreement(
        first=first,
        second=second,
        correlation=correlation,
        interval=Interval(float(low), float(high)),
        same_best=same,
        num_targets=len(values),
    )
