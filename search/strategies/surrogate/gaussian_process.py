"""The Gaussian process: composition kernel x target kernel, plus a few mean features, plus noise.

    score(c, t) = constant(t) + features(c, t) . coefficients + f(c, t) + noise,   cov f = K_compositions x K_targets

Every trial is scored on every target, so the covariance is a Kronecker product and its eigenvectors are products:
an exact fit costs two small decompositions. Coefficients are integrated out under a normal prior, the overall scale
under an inverse gamma, and the hyper-parameters under a uniform prior on a fixed grid: no gradients, no random
numbers, the same answer on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.statistics.ties import descending
from search.strategies.surrogate.encoding import Encoded
from search.strategies.surrogate.kernels import CompositionKernel, compare, composition_kernel

Floats = NDArray[np.float64]
Mix = tuple[float, float, float]  # weights of own, shared along keys, common to all

LENGTHS: Final = (0.1, 0.3, 1.0, 3.0)
LINEARS: Final = (0.0, 0.3, 0.6)
NOISES: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 0.8)
TARGET_MIXES: Final[tuple[Mix, ...]] = (
    (0.8, 0.2, 0.0),
    (0.4, 0.6, 0.0),
    (0.1, 0.9, 0.0),
    (0.3, 0.4, 0.3),
    (0.2, 0.1, 0.7),
)
CONSTANT_VARIANCE: Final = 4.0  # of a target's mean, in units of the scores' variance
SCALE_DEGREES: Final = 4.0  # a weak belief that standardised scores have variance 1
LEVEL_SHARE: Final = 0.5  # of the noise where there is nothing else but a level; the scale is integrated out
MAX_LOG_ODDS: Final = 700.0  # beyond, the exponential overflows
LEAST_VARIANCE: Final = 1e-10  # of accuracies: rounding, not knowledge
SPREAD_TRIALS: Final = 4.0  # a target's own spread counts as if so many trials had shown the mean of all targets
# Grid points that carry nearly all of the posterior; the rest would cost time and change nothing.
MAX_POINTS, LEAST_WEIGHT = 8, 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What there is to learn from.

    Attributes:
        candidates: n that have been tried.
        scores: [n, T].
        features: [m, n, T] mean features, centred; their coefficients are shared by all targets.
        feature_groups: [m] group of each feature; a group is in or out as a whole.
        target_likeness: [T, T].
        noise: [T] noise variance of the targets relative to each other (fewer questions, more noise).
        trial_noise: [n] that of the trials relative to a finished one (stopped ones have more); None: all finished.
    """

    candidates: Encoded
    scores: Floats
    features: Floats
    feature_groups: tuple[int, ...]
    target_likeness: Floats
    noise: Floats
    trial_noise: Floats | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Which hyper-parameters are averaged over."""

    lengths: tuple[float, ...] = LENGTHS
    linears: tuple[float, ...] = LINEARS
    noises: tuple[float, ...] = NOISES
    target_mixes: tuple[Mix, ...] = TARGET_MIXES

    def kernels(self) -> Iterable[CompositionKernel]:
        """All composition kernels."""
        for length, linear in product(self.lengths, self.linears):
            yield CompositionKernel(length=length, linear=linear)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Basis:
    """Scores [n, T] and features [m, n, T] in the eigenvectors of both kernels, whose eigenvalues multiply."""

    kernel: CompositionKernel
    mix: Mix
    u1: Floats
    u2: Floats
    spread: Floats
    scores: Floats
    features: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scanned:
    """A grid point: its basis, share of noise, active features, and what they explain."""

    log_evidence: float
    basis: _Basis
    noise: float
    active: NDArray[np.intp]
    scale: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Point:
    """A grid point solved."""

    scanned: _Scanned
    denominator: Floats
    weighted: Floats
    coefficients: Floats
    coefficient_covariance: Floats
    feature_weights: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """Posterior of noise-free scores: mean and standard deviation, [n] each."""

    mean: Floats
    deviation: Floats


class Surrogate:
    """A fitted process.

    Args:
        evidence: at least two tried candidates.
        grid: hyper-parameters to average over.
    """

    def __init__(self, evidence: Evidence, grid: Grid | None = None) -> None:
        self._evidence = evidence
        self._grid = grid or Grid()
        scores = evidence.scores
        certainty = np.ones(len(scores)) if evidence.trial_noise is None else 1 / evidence.trial_noise
        self._means = np.average(scores, axis=0, weights=certainty)
        self._units = spreads(scores - self._means, certainty)
        # Noise in units of each target's own spread: where trials differ little, what differs is mostly noise.
        noise = evidence.noise * (self._units**2).mean() / self._units**2
        # Rows and columns are scaled so that all noise is alike; the covariance stays a Kronecker product.
        self._whiten = 1 / np.sqrt(noise)
        self._whiten_trials = np.sqrt(certainty)
        self._like = compare(evidence.candidates, evidence.candidates)
        scanned = list(self._scan())
        ranked = [scanned[place] for place in descending([point.log_evidence for point in scanned])]
        likely = [p for p in ranked[:MAX_POINTS] if p.log_evidence > ranked[0].log_evidence + np.log(LEAST_WEIGHT)]
        weights = np.exp([point.log_evidence - ranked[0].log_evidence for point in likely])
        self._weights = weights / weights.sum()
        self._points = [_solve(point) for point in likely]
        evidences = np.array([point.log_evidence for point in scanned])
        for_signal = float(np.log(np.exp(evidences - evidences.max()).mean()) + evidences.max())
        self._odds = for_signal - self._log_evidence_of_noise()

    @property
    def signal_probability(self) -> float:
        """Posterior probability that compositions differ at all, given even odds before: else all is noise."""
        return float(1 / (1 + np.exp(-min(self._odds, MAX_LOG_ODDS))))

    def _log_evidence_of_noise(self) -> float:
        """Of a world in which all compositions are worth the same on a target, whose level is as free as in others."""
        scores = (self._evidence.scores - self._means) / self._units * self._whiten * self._whiten_trials[:, None]
        rows = self._whiten_trials[:, None]
        d1, u1 = np.linalg.eigh(CONSTANT_VARIANCE * rows * rows.T)
        basis = _Basis(
            kernel=next(iter(self._grid.kernels())),
            mix=(1.0, 0.0, 0.0),
            u1=u1,
            u2=np.eye(len(self._means)),
            spread=np.outer(np.maximum(d1, 0), self._whiten**2),
            scores=u1.T @ scores,
            features=np.zeros((0, *scores.shape)),
        )
        return next(iter(_evidence(basis, LEVEL_SHARE, [np.zeros(0, dtype=np.intp)]))).log_evidence

    def _target_kernel(self, mix: Mix) -> Floats:
        own, keys, common = mix
        covariance: Floats = own * np.eye(len(self._means)) + keys * self._evidence.target_likeness + common
        return covariance

    def _scan(self) -> Iterable[_Scanned]:
        """The evidence of every grid point."""
        e = self._evidence
        whiten, rows = self._whiten, self._whiten_trials[:, None]
        y = (e.scores - self._means) / self._units * whiten * rows
        phi = e.features / self._units * whiten * rows
        # With one target, how targets are mixed is only a scale.
        mixes = self._grid.target_mixes if len(self._means) > 1 else ((1.0, 0.0, 0.0),)
        targets = [
            (mix, *np.linalg.eigh(self._target_kernel(mix) * whiten[:, None] * whiten[None, :])) for mix in mixes
        ]
        groups = sorted(set(e.feature_groups))
        chosen = [{g for g, use in zip(groups, mask, strict=True) if use} for mask in _masks(len(groups))]
        actives = [np.flatnonzero([g in use for g in e.feature_groups]) for use in chosen]
        for kernel in self._grid.kernels():
            covariance = composition_kernel(self._like, kernel)
            d1, u1 = np.linalg.eigh((covariance + CONSTANT_VARIANCE) * rows * rows.T)
            y1, phi1 = u1.T @ y, np.einsum("ni,mnt->mit", u1, phi, optimize=True)
            for mix, d2, u2 in targets:
                basis = _Basis(
                    kernel=kernel,
                    mix=mix,
                    u1=u1,
                    u2=u2,
                    spread=np.outer(np.maximum(d1, 0), np.maximum(d2, 0)),
                    scores=y1 @ u2,
                    features=phi1 @ u2,
                )
                for noise in self._grid.noises:
                    yield from _evidence(basis, noise, actives)

    def predict(
        self, candidates: Encoded, features: Floats, weights: Floats, *, num_points: int | None = None
    ) -> Prediction:
        """The posterior of a weighted sum of targets.

        Args:
            candidates: n of them.
            features: [m, n, T] mean features of these, centred as the evidence's.
            weights: [T] of the targets in the sum; one 1 asks for a single target.
            num_points: use only so many of the likeliest grid points, for speed.
        """
        e = self._evidence
        like = compare(candidates, e.candidates)
        own = weights * self._units  # of the targets in units of their spread
        means, variances = [], []
        shared: dict[CompositionKernel, Floats] = {}
        for p in self._points[:num_points]:
            basis, signal = p.scanned.basis, 1 - p.scanned.noise
            if basis.kernel not in shared:
                shared[basis.kernel] = CONSTANT_VARIANCE + composition_kernel(like, basis.kernel)
            rotated = signal * (shared[basis.kernel] * self._whiten_trials) @ basis.u1  # [n, tried]
            prior = signal * (CONSTANT_VARIANCE + 1)  # the kernel of anything with itself is 1
            target = self._target_kernel(basis.mix) @ own  # covariance of the sum with every target, [T]
            along = basis.u2.T @ (self._whiten * target)
            active = p.scanned.active
            wanted = np.einsum("mnt,t->mn", features[active], weights)
            gap = wanted - np.einsum("mit,t->mi", p.feature_weights, along) @ rotated.T
            means.append(rotated @ (p.weighted @ along) + wanted.T @ p.coefficients)
            variance = prior * float(own @ target) - rotated**2 @ (along**2 / p.denominator).sum(1)
            variance = variance + np.einsum("mn,mk,kn->n", gap, p.coefficient_covariance, gap)
            variances.append(p.scanned.scale * np.maximum(variance, LEAST_VARIANCE))
        grid_weights = self._weights[:num_points] / self._weights[:num_points].sum()
        mean = np.tensordot(grid_weights, means, 1)
        second = np.tensordot(grid_weights, np.array(variances) + np.array(means) ** 2, 1)
        return Prediction(
            mean=float(weights @ self._means) + mean,
            deviation=np.sqrt(np.maximum(second - mean**2, 1e-12)),
        )

    def predict_all(self, candidates: Encoded, features: Floats) -> Floats:
        """Posterior means of every target at the likeliest grid point, [n, T]: what pending trials are taken for."""
        num = len(self._means)
        columns = [self.predict(candidates, features, unit_weights(t, num), num_points=1).mean for t in range(num)]
        return np.stack(columns, axis=1)

    def likeliest(self) -> Grid:
        """A grid of the likeliest point alone: for a second fit that must only be quick."""
        basis = self._points[0].scanned.basis
        return Grid(
            lengths=(basis.kernel.length,),
            linears=(basis.kernel.linear,),
            noises=(self._points[0].scanned.noise,),
            target_mixes=(basis.mix,),
        )

    def feature_group_weight(self, group: int) -> float:
        """Posterior probability that a group of features helps, given that the odds were even."""
        wanted = {j for j, g in enumerate(self._evidence.feature_groups) if g == group}
        return float(
            sum(w for w, p in zip(self._weights, self._points, strict=True) if wanted & set(p.scanned.active.tolist()))
        )


def spreads(centred: Floats, certainty: Floats) -> Floats:
    """[T] standard deviation of each target's scores, drawn towards that of all; trials count by certainty [n]."""
    own, num = np.average(centred**2, axis=0, weights=certainty), float(certainty.sum())
    spreads: Floats = np.sqrt(np.maximum((num * own + SPREAD_TRIALS * own.mean()) / (num + SPREAD_TRIALS), 1e-12))
    return spreads


def _masks(num_groups: int) -> Iterable[tuple[bool, ...]]:
    return product((False, True), repeat=num_groups)


def _evidence(basis: _Basis, noise: float, actives: Sequence[NDArray[np.intp]]) -> Iterable[_Scanned]:
    """Log evidence with each set of active features, the scale integrated out."""
    denominator = (1 - noise) * basis.spread + noise
    weighted = basis.scores / denominator
    quadratic, log_det = float((basis.scores * weighted).sum()), float(np.log(denominator).sum())
    flat = basis.features.reshape(len(basis.features), basis.scores.size)
    gram = (flat / denominator.ravel()) @ flat.T
    projected = flat @ weighted.ravel()
    degrees = SCALE_DEGREES + basis.scores.size
    for active in actives:
        precision = gram[np.ix_(active, active)] + np.eye(len(active))  # coefficients are N(0, 1)
        explained = float(projected[active] @ np.linalg.solve(precision, projected[active])) if len(active) else 0.0
        scale = (SCALE_DEGREES + quadratic - explained) / degrees
        yield _Scanned(
            log_evidence=-0.5 * (degrees * float(np.log(scale)) + log_det + float(np.linalg.slogdet(precision)[1])),
            basis=basis,
            noise=noise,
            active=active,
            scale=scale,
        )


def _solve(scanned: _Scanned) -> _Point:
    """What predictions at a grid point need."""
    basis, active = scanned.basis, scanned.active
    denominator = (1 - scanned.noise) * basis.spread + scanned.noise
    feature_weights = basis.features[active] / denominator
    flat = basis.features[active].reshape(len(active), basis.scores.size)
    precision = flat @ feature_weights.reshape(flat.shape).T + np.eye(len(active))
    covariance: Floats = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    coefficients = covariance @ (feature_weights.reshape(flat.shape) @ basis.scores.ravel())
    return _Point(
        scanned=scanned,
        denominator=denominator,
        weighted=basis.scores / denominator - np.tensordot(coefficients, feature_weights, 1),
        coefficients=coefficients,
        coefficient_covariance=covariance,
        feature_weights=feature_weights,
    )


def unit_weights(place: int, num: int) -> Floats:
    """[num] with a 1 at one place: the weights that ask `Surrogate.predict` for one target."""
    weights = np.zeros(num)
    weights[place] = 1.0
    return weights


def mean_weights(places: Sequence[int], num: int) -> Floats:
    """[num] that average the targets at some places."""
    weights = np.zeros(num)
    weights[list(places)] = 1 / len(places)
    return weights
