"""Replays of early stopping: what is saved is counted, and a rule that stops nothing costs nothing."""

from __future__ import annotations

import numpy as np
import pytest

from search.bench.known_truth.digits_rungs import RungTrials
from search.bench.replay.early_stopping import ALL_RUNGS, compare_rules, run_search
from search.study.spec import EarlyStoppingSection


def made_trials(seed: int, worth: np.ndarray) -> RungTrials:
    """Trials whose worth shows at every rung alike, on four targets of 100 questions."""
    rng, num = np.random.default_rng(seed), len(worth)
    right = tuple(tuple(rng.random((num, 100)) < worth[:, None] for _ in range(4)) for _ in (*ALL_RUNGS, 1.0))
    return RungTrials(shares=(*ALL_RUNGS, 1.0), right=right, truth=np.repeat(worth[:, None], 4, axis=1))


def test_the_first_trials_and_the_best_go_to_the_end() -> None:
    rule, worth = EarlyStoppingSection(enabled=True, min_trials=4), np.linspace(0.4, 0.9, 12)
    made, ended = run_search(made_trials(0, worth), (0, 1), rule)
    assert {0, 1, 11} <= set(ended)
    assert all(made[trial] == 1 for trial in ended)
    made, ended = run_search(made_trials(0, worth[::-1]), (0, 1), rule)
    assert made[-1] == 0.25  # the worst comes last, and is stopped at its first rung
    assert 0 in ended


def test_the_mean_saves_more_than_the_last_and_an_early_rung_more_than_both() -> None:
    worth = np.random.default_rng(0).permutation(np.linspace(0.4, 0.9, 12))
    figures = compare_rules([made_trials(seed, worth) for seed in range(3)])
    steps = [figure.steps for figure in figures]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] < 1
    assert [figure.num_problems for figure in figures] == [6, 6, 6]
    assert figures[0].regret == pytest.approx(0, abs=5)
