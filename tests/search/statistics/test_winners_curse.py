"""What luck has added to the best of many is estimated without bias, in worlds where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from search.statistics.winners_curse import FEWEST_TRIALS, cross_fitted, winners_curse


def answers(rng: np.random.Generator, worth: np.ndarray, num_items: int) -> np.ndarray:
    """Half of the answers depend on the question alone. [num_trials, num_items]."""
    hardness = rng.random(num_items)
    own = rng.random((len(worth), num_items))
    shared = rng.random((len(worth), num_items)) < 0.5
    return (np.where(shared, hardness, own) < worth[:, None]).astype(float)


@pytest.mark.parametrize("spread", [0.0, 0.03, 0.1])
def test_the_estimate_meets_the_luck_of_the_best_of_a_hundred(spread: float) -> None:
    rng = np.random.default_rng(0)
    luck, estimated = [], []
    for run in range(60):
        worth = np.clip(rng.normal(0.6, spread, 100), 0.05, 0.95)
        right = answers(rng, worth, 130)
        found = winners_curse([right], seed=run, num_draws=300)
        assert found is not None
        luck.append(right.mean(axis=1).max() - worth[int(right.mean(axis=1).argmax())])
        estimated.append(found.optimism)
    assert np.mean(luck) > 0.02  # there is something to correct
    assert np.mean(estimated) == pytest.approx(np.mean(luck), abs=0.012)


def test_a_shift_of_whole_runs_is_luck_too() -> None:
    right = answers(np.random.default_rng(1), np.full(50, 0.6), 400)
    without, with_it = winners_curse([right]), winners_curse([right], training_shift=0.03**2)
    assert without is not None
    assert with_it is not None
    assert with_it.optimism > without.optimism
    assert with_it.reliability <= without.reliability


def test_few_trials_give_no_estimate() -> None:
    right = np.ones((FEWEST_TRIALS - 1, 10))
    assert winners_curse([right]) is None
    assert winners_curse([]) is None


def test_cross_fitting_takes_out_the_luck_of_the_choice() -> None:
    rng = np.random.default_rng(0)
    naive, fitted = [], []
    for run in range(150):
        arms = {f"a{k}": [(rng.random((2, 100)) < 0.6).astype(float)] for k in range(3)}
        naive.append(max(arms[name][0].mean() for name in arms))
        fitted.append(cross_fitted(arms, seed=run, num_splits=20))
    assert np.mean(naive) > 0.62
    assert np.mean(fitted) == pytest.approx(0.6, abs=0.008)


def test_cross_fitting_keeps_patients_together_and_one_arm_as_it_is() -> None:
    right = np.repeat(np.array([[1.0, 0.0, 1.0, 0.0]]), 5, axis=1)
    assert cross_fitted({"only": [right]}) == right.mean()
    groups = [[f"p{k // 5}" for k in range(20)]]
    found = cross_fitted({"a": [right], "b": [1 - right]}, groups=groups)
    assert 0 <= found <= 1
    with pytest.raises(ValueError, match="no arm"):
        cross_fitted({})
