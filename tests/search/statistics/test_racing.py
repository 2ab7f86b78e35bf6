"""Seeds go where they may still change a decision, and what giving up costs stays within what was allowed."""

from __future__ import annotations

import numpy as np
import pytest

from search.statistics.racing import worth_another_seed


def test_an_arm_far_behind_is_given_up_and_a_close_one_is_not() -> None:
    arms = [np.array([0.70, 0.74]), np.array([0.69, 0.73]), np.array([0.40, 0.44])]
    assert worth_another_seed(arms, most_seeds=5, least_loss=0.001) == [0, 1]
    assert worth_another_seed(arms[:1], most_seeds=5, least_loss=0.001) == [0]


def test_with_one_seed_nothing_is_known_of_the_noise() -> None:
    assert worth_another_seed([np.array([0.9]), np.array([0.1])], most_seeds=5, least_loss=0.001) == [0, 1]


def test_arms_that_were_given_up_tell_of_the_noise() -> None:
    arms = [np.array([0.70, 0.70, 0.70]), np.array([0.66, 0.66, 0.66])]
    assert worth_another_seed(arms, [np.array([0.6, 0.6])], most_seeds=5, least_loss=0.001) == [0]
    assert worth_another_seed(arms, [np.array([0.3, 0.7])], most_seeds=5, least_loss=0.001) == [0, 1]


@pytest.mark.parametrize("spread", [0.0, 0.03])
def test_a_choice_loses_no_more_on_average_than_every_look_allows(spread: float) -> None:
    rng = np.random.default_rng(5)
    lost, num_trained = [], 0
    for _ in range(300):
        seeds = rng.normal(0, spread, (5, 1)) + rng.normal(0.6, 0.03, (5, 5))
        left = list(range(5))
        for number in range(2, 5):
            num_trained += len(left)
            out = [seeds[k, :2] for k in range(5) if k not in left]
            still = worth_another_seed([seeds[k, :number] for k in left], out, most_seeds=5, least_loss=0.001)
            left = [left[k] for k in still]
        best = seeds.mean(axis=1)
        lost.append(best.max() - best[left].max())
    assert np.mean(lost) <= 3 * 0.001
    assert num_trained < 300 * 3 * 5 * 0.95
