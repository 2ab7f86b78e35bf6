"""What keys say before any trial: profiles of compositions, and the functions of them."""

from __future__ import annotations

import numpy as np

from datasets_spec.catalog.keys import Key, TaskMap
from search.strategies.surrogate.encoding import Encoded
from search.strategies.surrogate.features import KEYS_LENGTH, KEYS_SCALE, MAX_LANDMARKS, KeyBasis, key_tables
from search.strategies.surrogate.gaussian_process import Evidence, Surrogate, unit_weights

IDENTITY = TaskMap(name="identity", version="1")
SOURCES = [
    Key(modality=m, area=a, task=t) for m, a, t in (("ct", "lung", "x"), ("mr", "lung", "y"), ("us", "arm", "z"))
]
TARGETS = [Key(modality=m, area=a, task=t) for m, a, t in (("ct", "lung", "y"), ("us", "lung", "x"))]


def compositions(num_sources: int) -> Encoded:
    """All of them, with equal shares."""
    codes = np.arange(1, 2**num_sources)
    presence = (codes[:, None] >> np.arange(num_sources) & 1).astype(np.float64)
    shares = presence / presence.sum(1, keepdims=True)
    return Encoded(presence=presence, shares=shares, doublings=presence, recipe=np.zeros((len(codes), 0)))


def test_functions_span_the_kernel_of_profiles() -> None:
    everything = compositions(3)
    basis = KeyBasis(key_tables(SOURCES, TARGETS, IDENTITY), everything, np.array([0.1, 0.1]))
    features = basis.features(everything)
    assert features.shape == (len(basis), 7, 2)
    assert len(basis) <= MAX_LANDMARKS
    covariance = np.einsum("fa,fb->ab", features[:, :, 0], features[:, :, 0])
    # For target 0 all three sources share something else, so profiles are the shares.
    roots = np.sqrt(everything.shares)
    np.testing.assert_allclose(covariance, KEYS_SCALE**2 * np.exp((2 * roots @ roots.T - 2) / KEYS_LENGTH), atol=1e-4)


def test_compositions_alike_to_a_target_are_alike() -> None:
    """Two sources that share the same elements with a target count as one; for another target they may not."""
    sources = [SOURCES[0], SOURCES[2], Key(modality="pet", area="leg", task="w")]
    basis = KeyBasis(key_tables(sources, TARGETS, IDENTITY), compositions(3), np.array([0.1, 0.2]))
    features = basis.features(compositions(3))
    one, other = 0b010 - 1, 0b100 - 1
    np.testing.assert_allclose(features[:, one, 0], features[:, other, 0])
    assert np.abs(features[:, one, 1] - features[:, other, 1]).max() > 0.01


def test_keys_that_tell_nothing_apart_are_no_features() -> None:
    same = [SOURCES[0]] * 3
    basis = KeyBasis(key_tables(same, TARGETS, IDENTITY), compositions(3), np.array([0.1, 0.1]))
    assert basis.features(compositions(3)).shape == (0, 7, 2)


def test_what_one_target_shows_is_used_for_another() -> None:
    """All targets need their three elements covered; a composition that nobody tried is known by its profile."""
    names = ("a", "b", "c", "d")
    sources = [Key(modality=n, area=n, task=n) for n in names]
    targets = [Key(modality=names[i], area=names[(i + 1) % 4], task=names[(i + 2) % 4]) for i in range(4)]
    everything = compositions(4)
    needed = np.array([[n in (t.modality, t.area, t.task) for n in names] for t in targets])
    covered = (everything.presence[:, None, :] * needed).sum(2) == 3  # [15, targets]
    scores = 0.5 + 0.4 * covered - 0.05 * np.log2(everything.presence.sum(1))[:, None]
    left_out = int(np.flatnonzero(everything.presence @ 2 ** np.arange(4) == 0b0111)[0])
    tried = np.array([i for i in range(15) if i != left_out])

    def predicted(with_keys: bool) -> float:
        tables = key_tables(sources, targets, IDENTITY)[: 3 * with_keys]
        basis = KeyBasis(tables, everything.take(tried), np.full(4, 0.1))
        raw = basis.features(everything)
        centred = raw - raw[:, tried].mean(1, keepdims=True)
        surrogate = Surrogate(
            Evidence(
                candidates=everything.take(tried), scores=scores[tried], features=centred[:, tried],
                feature_groups=(0,) * len(basis), target_likeness=np.eye(4), noise=np.ones(4),
            )
        )  # fmt: skip
        row = np.array([left_out])
        return float(surrogate.predict(everything.take(row), centred[:, row], unit_weights(0, 4)).mean[0])

    assert covered[left_out, 0]
    error, error_without = (abs(predicted(use) - scores[left_out, 0]) for use in (True, False))
    assert error < 0.2 < error_without
