"""Whether an order of sources carries over: against matrices whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from search.statistics.carry_over import Matrix, best_sources, between_backbones, between_seeds, rank_correlation


def matrix(name: str, truth: np.ndarray, noise: float, seed: int, num_seeds: int = 2) -> Matrix:
    rng = np.random.default_rng(seed)
    values = truth + noise * rng.standard_normal((num_seeds, *truth.shape))
    sources, targets = (tuple(f"{letter}{k}" for k in range(n)) for letter, n in zip("st", truth.shape, strict=True))
    return Matrix(backbone=name, values=values, sources=sources, targets=targets)


def test_the_same_order_carries_over_and_an_unrelated_one_does_not() -> None:
    rng = np.random.default_rng(0)
    truth, other = rng.normal(0, 5, (2, 13, 13))
    same, unrelated = (
        between_backbones([matrix("small", truth, 0.5, 1), matrix("large", second, 0.5, 2)])[0]
        for second in (truth, other)
    )
    assert same.correlation > 0.95
    assert same.interval.low > 0.9
    assert unrelated.interval.low < 0.1 < 0.95 < same.interval.high
    assert same.num_targets == 13


def test_two_seeds_of_one_model_agree_as_far_as_noise_lets_them() -> None:
    truth = np.random.default_rng(1).normal(0, 1, (13, 13))
    quiet, loud = (between_seeds(matrix("m", truth, noise, 3)) for noise in (0.05, 3.0))
    assert quiet is not None
    assert loud is not None
    assert quiet.correlation > 0.95 > 0.4 > loud.correlation
    assert quiet.same_best > loud.same_best
    assert between_seeds(matrix("m", truth, 0.1, 3, num_seeds=1)) is None


def test_sources_of_equal_worth_are_ties_as_often_as_it_says() -> None:
    """Of equal sources the luckiest is the best: any that is told from it is a mistake."""
    flat = matrix("m", np.zeros((8, 600)), 1.0, 4, num_seeds=4)
    mistakes = sum(len(found.ties) < 7 for found in best_sources(flat))
    # The best was chosen by the very values that are compared, so the bound is loose (Hsu's is one-sided against it).
    assert mistakes / 600 < 0.25
    clear = matrix("m", np.arange(8.0)[:, None] * np.ones((8, 50)), 0.05, 5, num_seeds=3)
    assert all(not found.ties and found.best == "s7" for found in best_sources(clear))


def test_with_one_seed_everything_is_a_tie() -> None:
    single = matrix("m", np.arange(5.0)[:, None] * np.ones((5, 3)), 0.0, 6, num_seeds=1)
    assert all(len(found.ties) == 4 for found in best_sources(single))


def test_a_rank_correlation_counts_ties_and_needs_an_order() -> None:
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])) == pytest.approx(1)
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    assert rank_correlation(np.array([1.0, 1.0, 1.0 + 1e-13]), np.array([1.0, 2.0, 3.0])) == 0.0


def test_what_was_not_measured_is_left_out() -> None:
    made = matrix("m", np.arange(5.0)[:, None] * np.ones((5, 3)), 0.01, 7)
    made.values[:, 4, 0] = np.nan
    made.values[:, 1:, 1] = np.nan
    found = {best.target: best for best in best_sources(made)}
    assert (found["t0"].best, found["t2"].best) == ("s3", "s4")
    assert "t1" not in found
    agreement = between_backbones([made, made])[0]
    assert agreement.num_targets == 2
