"""Training noise is borrowed from other arms as far as they agree, and no further."""

from __future__ import annotations

import numpy as np
import pytest

from search.statistics.bootstrap import PairedItems, paired_difference
from search.statistics.training_noise import (
    FEWEST_ARMS,
    NOTHING_KNOWN,
    SeedVariance,
    answer_variance,
    moderated,
    own_seed_variance,
    seed_variance_prior,
)


def arms_of(rng: np.random.Generator, sds: np.ndarray) -> list[np.ndarray]:
    return [0.6 + rng.normal(0, sd, 2) for sd in sds]


def test_arms_of_one_noise_are_pooled_and_their_variance_is_found() -> None:
    rng = np.random.default_rng(0)
    found = [seed_variance_prior(arms_of(rng, np.full(12, 0.03)), resolution=0.002) for _ in range(200)]
    assert np.median([prior.freedom for prior in found]) > 8
    assert np.mean([prior.variance for prior in found]) == pytest.approx(0.03**2, rel=0.15)


def test_arms_of_unlike_noise_lend_little() -> None:
    rng = np.random.default_rng(0)
    alike = [seed_variance_prior(arms_of(rng, np.full(20, 0.03)), resolution=1e-4).freedom for _ in range(100)]
    unlike = [
        seed_variance_prior(arms_of(rng, np.geomspace(0.001, 0.1, 20)), resolution=1e-4).freedom for _ in range(100)
    ]
    assert np.median(unlike) < 3 < np.median(alike)


def test_few_arms_or_single_seeds_say_nothing() -> None:
    few = [np.array([0.5, 0.6])] * (FEWEST_ARMS - 1)
    assert seed_variance_prior(few, resolution=0.01) == NOTHING_KNOWN
    assert seed_variance_prior([np.array([0.5])] * 10, resolution=0.01) == NOTHING_KNOWN
    assert own_seed_variance([np.array([0.5])]) == NOTHING_KNOWN
    assert moderated(NOTHING_KNOWN, SeedVariance(variance=1.0, freedom=5.0)) == NOTHING_KNOWN


def test_a_training_on_several_targets_is_one() -> None:
    rng = np.random.default_rng(0)
    runs = rng.normal(0.6, 0.03, (5, 3))
    arms = [run + rng.normal(0, 0.001, 3) for run in runs for _ in range(4)]
    names = [f"training {number}" for number in range(5) for _ in range(4)]
    found = seed_variance_prior(arms, resolution=1e-4, trainings=names)
    assert found.freedom <= 5 * 2 < seed_variance_prior(arms, resolution=1e-4).freedom
    few = seed_variance_prior(arms[:12], resolution=1e-4, trainings=names[:12])
    assert few == NOTHING_KNOWN


def test_seeds_that_agree_exactly_do_not_prove_that_there_is_no_noise() -> None:
    prior = seed_variance_prior([np.array([0.5, 0.5])] * 6, resolution=0.01)
    assert prior.variance > 0
    assert prior.freedom <= 6


def test_borrowing_narrows_the_interval_of_two_seeds() -> None:
    rng = np.random.default_rng(3)
    first = (rng.random((2, 200)) < np.array([[0.66], [0.70]])).astype(float)
    second = (rng.random((2, 200)) < 0.6).astype(float)
    alone = paired_difference([PairedItems(first=first, second=second)], seed=0)
    prior = SeedVariance(variance=0.02**2, freedom=20)
    helped = paired_difference([PairedItems(first=first, second=second)], seed=0, prior=prior)
    assert helped.standard_error < alone.standard_error
    assert helped.difference == alone.difference


def test_the_part_that_is_single_answers_is_told_from_a_shift_of_all() -> None:
    rng = np.random.default_rng(0)
    hardness = rng.random(5000)
    shifted = np.stack([hardness < 0.5, hardness < 0.6]).astype(float)
    scattered = (rng.random((2, 5000)) < 0.5).astype(float)
    assert answer_variance(shifted) < 0.3 * answer_variance(scattered)
    assert answer_variance(scattered) == pytest.approx(0.25 / 5000, rel=0.1)
    assert answer_variance(scattered[:1]) == 0.0
