"""The Kronecker fit against the same process written out densely."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from search.strategies.surrogate.encoding import Encoded
from search.strategies.surrogate.gaussian_process import (
    CONSTANT_VARIANCE,
    SCALE_DEGREES,
    Evidence,
    Grid,
    Surrogate,
    mean_weights,
    spreads,
    unit_weights,
)
from search.strategies.surrogate.kernels import CompositionKernel, compare, composition_kernel

Floats = NDArray[np.float64]
KERNEL = CompositionKernel(length=1.0, linear=0.3)
MIX = (0.4, 0.6, 0.1)
NOISE = 0.2
NUM_TRIED, NUM_NEW, NUM_TARGETS, NUM_SOURCES = 14, 6, 3, 5


def encoded(rng: np.random.Generator, num: int, num_sources: int = NUM_SOURCES) -> Encoded:
    presence = (rng.random((num, num_sources)) < 0.5).astype(float)
    presence[:, 0] = 1
    counts = presence * rng.choice([10.0, 20.0, 40.0], size=presence.shape)
    return Encoded(
        presence=presence,
        shares=counts / counts.sum(1, keepdims=True),
        doublings=np.log2(np.maximum(counts, 1)),
        recipe=rng.random((num, 2)),
    )


def setting(seed: int) -> tuple[Encoded, Floats, Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    everything = encoded(rng, NUM_TRIED + NUM_NEW)
    targets = 0.6 * np.eye(NUM_TARGETS) + 0.4
    scores = rng.normal(0.6, [0.02, 0.1, 0.2], size=(NUM_TRIED, NUM_TARGETS))
    features = rng.normal(0, 0.1, size=(2, NUM_TRIED + NUM_NEW, NUM_TARGETS))
    return everything, targets, scores, features, np.array([1.0, 2.0, 0.5])


def dense(
    everything: Encoded,
    targets: Floats,
    scores: Floats,
    features: Floats,
    noise: Floats,
    trial_noise: Floats,
    w: Floats,
) -> tuple[Floats, Floats]:
    """Mean and deviation by the book: one covariance of all (candidate, target) pairs, a mixture over features."""
    means = np.average(scores, axis=0, weights=1 / trial_noise)
    units = spreads(scores - means, 1 / trial_noise)
    y = ((scores - means) / units).ravel()
    relative = noise * (units**2).mean() / units**2
    k_compositions = composition_kernel(compare(everything, everything), KERNEL) + CONSTANT_VARIANCE
    k_targets = MIX[0] * np.eye(NUM_TARGETS) + MIX[1] * targets + MIX[2]
    seen = slice(0, NUM_TRIED * NUM_TARGETS)
    logs, mus, variances = [], [], []
    for active in ([], [1], [0], [0, 1]):
        phi = (features[active] / units).reshape(len(active), (NUM_TRIED + NUM_NEW) * NUM_TARGETS).T
        covariance = (1 - NOISE) * np.kron(k_compositions, k_targets) + phi @ phi.T
        observed = covariance[seen, seen] + NOISE * np.kron(np.diag(trial_noise), np.diag(relative))
        quadratic = y @ np.linalg.solve(observed, y)
        degrees = SCALE_DEGREES + len(y)
        scale = (SCALE_DEGREES + quadratic) / degrees
        logs.append(-0.5 * (degrees * np.log(scale) + np.linalg.slogdet(observed)[1]))
        pick = np.kron(np.eye(NUM_TRIED + NUM_NEW), w * units)[NUM_TRIED:]
        cross = pick @ covariance
        mus.append(cross[:, seen] @ np.linalg.solve(observed, y))
        explained = cross[:, seen] @ np.linalg.solve(observed, cross[:, seen].T)
        variances.append(scale * np.diag(cross @ pick.T - explained))
    weights = np.exp(np.array(logs) - max(logs))
    weights = np.where(weights > 0.02, weights, 0)
    weights /= weights.sum()
    mean = np.tensordot(weights, mus, 1)
    second = np.tensordot(weights, np.array(variances) + np.array(mus) ** 2, 1)
    return w @ means + mean, np.sqrt(second - mean**2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("w", [unit_weights(1, NUM_TARGETS), mean_weights([0, 2], NUM_TARGETS)])
@pytest.mark.parametrize("has_stopped", [False, True])
def test_it_is_the_exact_posterior(seed: int, w: Floats, has_stopped: bool) -> None:
    trial_noise = np.random.default_rng(seed).uniform(1, 5, NUM_TRIED) if has_stopped else np.ones(NUM_TRIED)
    everything, targets, scores, features, noise = setting(seed)
    grid = Grid(lengths=(1.0,), linears=(0.3,), noises=(NOISE,), target_mixes=(MIX,))
    evidence = Evidence(
        candidates=everything.take(slice(0, NUM_TRIED)),
        scores=scores,
        features=features[:, :NUM_TRIED],
        feature_groups=(0, 1),
        target_likeness=targets,
        noise=noise,
        trial_noise=trial_noise if has_stopped else None,
    )
    found = Surrogate(evidence, grid).predict(everything.take(slice(NUM_TRIED, None)), features[:, NUM_TRIED:], w)
    mean, deviation = dense(everything, targets, scores, features, noise, trial_noise, w)
    np.testing.assert_allclose(found.mean, mean, atol=1e-9)
    np.testing.assert_allclose(found.deviation, deviation, atol=1e-9)


def test_a_useless_feature_is_dropped_and_a_useful_one_kept() -> None:
    rng = np.random.default_rng(0)
    candidates = encoded(rng, 40)
    useful, useless = rng.normal(0, 0.05, size=(2, 40, 2))
    scores = 0.5 + useful + rng.normal(0, 0.01, size=(40, 2))
    evidence = Evidence(
        candidates=candidates,
        scores=scores,
        features=np.array([useful - useful.mean(0), useless - useless.mean(0)]),
        feature_groups=(0, 1),
        target_likeness=np.eye(2),
        noise=np.ones(2),
    )
    surrogate = Surrogate(evidence)
    assert surrogate.feature_group_weight(0) > 0.99
    assert surrogate.feature_group_weight(1) < 0.5
