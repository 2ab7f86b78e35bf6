"""A hierarchical linear model of scores: subsets, pairs of subsets, and the elements that subsets share with targets.

    score(c, t) = level(t) + sum of subset effects in c + sum of pair effects in c + noise
    subset effect(i, t) = sum of element effects over what i shares with t + the subset's own part

All parts but the level are drawn towards zero by variances that the data choose (marginal likelihood on a fixed grid,
averaged over, so the same input gives the same answer). The model is linear in the subsets that a composition holds, so
Banzhaf values and interactions are sums of its coefficients, with their exact posterior (`values`). The Gaussian
process that searches predicts better but has no such sums (docs/decisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.statistics.ties import index_of_largest, is_rounding

Floats = NDArray[np.float64]

# Standard deviations in units of the scores' own: of element effects, subsets' own parts, pairs, and noise.
ELEMENTS: Final = (0.1, 0.4, 1.0)
OWN: Final = (0.1, 0.4, 1.0)
PAIRS: Final = (0.02, 0.15, 0.5)
NOISES: Final = (0.15, 0.35, 0.7, 1.0)
LEVEL: Final = 10.0  # as good as free
LEAST_WEIGHT: Final = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Trials:
    """What there is to learn from.

    Attributes:
        presence: 0 or 1, [n, N] which of N subsets each trial held.
        scores: [n, T] accuracy on each target.
        shared: [T, N, E] whether a subset and a target share each of E elements (or combinations of them).
        subsets: names, N.
        targets: names, T.
        elements: names, E.
    """

    presence: Floats
    scores: Floats
    shared: Floats
    subsets: tuple[str, ...]
    targets: tuple[str, ...]
    elements: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Variances:
    """One point of the grid."""

    elements: float
    own: float
    pairs: float
    noise: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """A linear function of the coefficients: a Banzhaf value, an interaction, an element's effect, a difference.

    Attributes:
        mean: posterior mean, as a share.
        deviation: posterior standard deviation.
    """

    mean: float
    deviation: float

    @property
    def interval(self) -> tuple[float, float]:
        """The central 95 %."""
        return self.mean - 1.96 * self.deviation, self.mean + 1.96 * self.deviation


class EffectsModel:
    """The fitted model.

    Args:
        trials: at least three.
        with_pairs: leave pair effects out where there are too many subsets to learn them.
    """

    def __init__(self, trials: Trials, *, with_pairs: bool = True) -> None:
        self.trials = trials
        self.pairs = tuple(combinations(range(len(trials.subsets)), 2)) if with_pairs else ()
        centred = trials.scores - trials.scores.mean(axis=0)
        spread = float(centred.std())
        self.unit = 1.0 if is_rounding(spread, scale=float(np.abs(trials.scores).max())) else spread
        self._y = (centred / self.unit).T.ravel()  # target by target, [T * n]
        self._blocks = [self._design(trials.presence, t) for t in range(len(trials.targets))]
        points = [
            Variances(elements=e, own=o, pairs=p, noise=s) for e, o, p, s in product(ELEMENTS, OWN, PAIRS, NOISES)
        ]
        if not with_pairs:
            points = [point for point in points if point.pairs == PAIRS[0]]
        fitted = [(self._log_evidence(point), point) for point in points]
        best = max(evidence for evidence, _ in fitted)
        likely = [(e, p) for e, p in fitted if e - best > np.log(LEAST_WEIGHT)]
        total = sum(np.exp(e - best) for e, _ in likely)
        self.points = [(float(np.exp(e - best) / total), point) for e, point in likely]
        self._likeliest = index_of_largest([e for e, _ in likely])
        self._posteriors = [(weight, *self._posterior(point)) for weight, point in self.points]

    @property
    def likeliest(self) -> Variances:
        """The point of highest marginal likelihood."""
        return self.points[self._likeliest][1]

    @property
    def num_coefficients(self) -> int:
        """Levels, elements, own parts of every target, pairs of every target."""
        num_targets, num_subsets = len(self.trials.targets), len(self.trials.subsets)
        return num_targets + len(self.trials.elements) + num_targets * (num_subsets + len(self.pairs))

    def quantity(self, weights: Floats) -> Quantity:
        """The posterior of a weighted sum of coefficients, [num_coefficients], averaged over the grid."""
        means = [weights @ mean for _, mean, _ in self._posteriors]
        variances = [float(weights @ covariance @ weights) for _, _, covariance in self._posteriors]
        shares = np.array([weight for weight, _, _ in self._posteriors])
        mean = float(shares @ means)
        variance = float(shares @ (np.array(variances) + np.array(means) ** 2)) - mean**2
        return Quantity(mean=mean * self.unit, deviation=self.unit * float(np.sqrt(max(variance, 0.0))))

    def rows(self, presence: Floats, target: int) -> Floats:
        """Weights that give the scores of compositions [k, N] on a target, [k, num_coefficients]."""
        return self._spread(self._design(presence, target), target)

    def posterior_covariance(self) -> Floats:
        """Covariance of the coefficients at the likeliest point, in the scores' unit squared."""
        covariance: Floats = self._posteriors[self._likeliest][2] * self.unit**2
        return covariance

    def noise_variance(self) -> float:
        """Of one trial's score around the model, at the likeliest point."""
        return (self.likeliest.noise * self.unit) ** 2

    def subset_weights(self, subset: int, target: int) -> Floats:
        """Weights of a subset's effect when it is alone: its own part and what its elements bring."""
        alone = np.zeros((1, len(self.trials.subsets)))
        alone[0, subset] = 1.0
        level = np.zeros_like(alone)
        weights: Floats = (self.rows(alone, target) - self.rows(level, target))[0]
        return weights

    def pair_weights(self, pair: tuple[int, int], target: int) -> Floats:
        """Weights of what two subsets do together beyond what each does."""
        presence = np.zeros((4, len(self.trials.subsets)))
        presence[1, pair[0]] = presence[2, pair[1]] = 1.0
        presence[3, list(pair)] = 1.0
        rows = self.rows(presence, target)
        weights: Floats = rows[3] - rows[1] - rows[2] + rows[0]
        return weights

    def element_weights(self, element: int) -> Floats:
        """Weights of an element's effect: what one more subset that shares it brings, whichever the target."""
        weights = np.zeros(self.num_coefficients)
        weights[len(self.trials.targets) + element] = 1.0
        return weights

    def _design(self, presence: Floats, target: int) -> Floats:
        """Columns of one target: level, elements, own parts, pairs. [k, 1 + E + N + P]."""
        elements = presence @ self.trials.shared[target]
        pairs = np.stack([presence[:, i] * presence[:, j] for i, j in self.pairs], axis=1) if self.pairs else None
        columns = [np.ones((len(presence), 1)), elements, presence]
        return np.concatenate([*columns, pairs] if pairs is not None else columns, axis=1)

    def _spread(self, block: Floats, target: int) -> Floats:
        """Place one target's columns among all coefficients."""
        num_targets, num_elements = len(self.trials.targets), len(self.trials.elements)
        own = block.shape[1] - 1 - num_elements
        full = np.zeros((len(block), self.num_coefficients))
        full[:, target] = block[:, 0]
        full[:, num_targets : num_targets + num_elements] = block[:, 1 : 1 + num_elements]
        start = num_targets + num_elements + target * own
        full[:, start : start + own] = block[:, 1 + num_elements :]
        return full

    def _matrix(self) -> Floats:
        return np.concatenate([self._spread(block, t) for t, block in enumerate(self._blocks)])

    def _prior(self, point: Variances) -> Floats:
        """Prior variance of every coefficient."""
        num_targets, num_subsets = len(self.trials.targets), len(self.trials.subsets)
        own = np.concatenate([np.full(num_subsets, point.own**2), np.full(len(self.pairs), point.pairs**2)])
        return np.concatenate(
            [
                np.full(num_targets, LEVEL**2),
                np.full(len(self.trials.elements), point.elements**2),
                np.tile(own, num_targets),
            ]
        )

    def _covariance_of_scores(self, point: Variances) -> Floats:
        matrix = self._matrix()
        covariance: Floats = (matrix * self._prior(point)) @ matrix.T + point.noise**2 * np.eye(len(matrix))
        return covariance

    def _log_evidence(self, point: Variances) -> float:
        factor = np.linalg.cholesky(self._covariance_of_scores(point))
        whitened = np.linalg.solve(factor, self._y)
        return float(-0.5 * whitened @ whitened - np.log(np.diag(factor)).sum())

    def _posterior(self, point: Variances) -> tuple[Floats, Floats]:
        matrix, prior = self._matrix(), self._prior(point)
        gain = np.linalg.solve(self._covariance_of_scores(point), matrix * prior).T  # [coefficients, n * T]
        mean: Floats = gain @ self._y
        covariance: Floats = np.diag(prior) - gain @ (matrix * prior)
        return mean, covariance
