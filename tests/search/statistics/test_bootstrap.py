"""The paired bootstrap keeps its promises on simulated trials."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from search.statistics.bootstrap import PairedItems, mean_accuracy, paired_difference

Matrix = NDArray[np.float64]


def simulate(
    rng: np.random.Generator,
    *,
    num_items: int = 200,
    num_seeds: int = 3,
    seed_sd: float = 0.03,
    effect: float = 0.0,
    cluster: int = 1,
    num_targets: int = 1,
) -> list[PairedItems]:
    """Two arms whose accuracies differ by `effect`, with noise of questions (or clusters) and of seeds."""
    noise = rng.normal(0, seed_sd, (2, num_seeds, 1))
    targets = []
    for _ in range(num_targets):
        clusters = num_items // cluster
        easiness = np.repeat(rng.uniform(0.25, 0.75, clusters), cluster)
        taste = np.repeat(rng.normal(0, 0.1, (2, clusters)), cluster, axis=1)[:, None, :]
        chance = easiness + taste + noise + np.array([effect, 0.0])[:, None, None]
        right = (rng.random((2, num_seeds, num_items)) < chance).astype(np.float64)
        groups = None if cluster == 1 else [k // cluster for k in range(num_items)]
        targets.append(PairedItems(first=right[0], second=right[1], groups=groups))
    return targets


def rejections(num_runs: int, **settings: float) -> tuple[float, float]:
    """Share of runs with p < 0.05, and share whose interval holds the true effect."""
    effect = settings.get("effect", 0.0)
    rejected = covered = 0
    for run in range(num_runs):
        targets = simulate(np.random.default_rng(run), **settings)  # type: ignore[arg-type]
        found = paired_difference(targets, seed=run, num_resamples=800)
        rejected += found.p_value < 0.05
        covered += found.ci_low <= effect <= found.ci_high
    return rejected / num_runs, covered / num_runs


@pytest.mark.parametrize(
    "settings",
    [
        {"seed_sd": 0.0},
        {"seed_sd": 0.05},
        {"seed_sd": 0.04, "num_items": 600, "num_seeds": 2},
        {"seed_sd": 0.02, "cluster": 10},
        {"seed_sd": 0.03, "num_targets": 3, "num_items": 80},
    ],
)
def test_equal_arms_differ_in_at_most_five_percent_of_runs(settings: dict[str, float]) -> None:
    rejected, covered = rejections(250, **settings)
    assert rejected <= 0.07  # 5 % and 1.5 binomial standard errors of 250 runs
    assert covered >= 0.93


def test_intervals_cover_a_true_effect_and_large_effects_are_found() -> None:
    _, covered = rejections(250, effect=0.08, seed_sd=0.03)
    assert covered >= 0.93
    rejected, _ = rejections(40, effect=0.15, seed_sd=0.01, num_items=400)
    assert rejected >= 0.9


def test_ignoring_clusters_would_claim_too_much() -> None:
    """The clustered test above could not fail if clusters made no difference."""
    targets = simulate(np.random.default_rng(1), cluster=20, num_items=400, seed_sd=0.0)
    strong = np.repeat(np.random.default_rng(2).random((1, 20)) < 0.5, 20, axis=1).astype(np.float64)
    clustered = PairedItems(first=strong, second=np.full((1, 400), 0.0), groups=targets[0].groups)
    alone = PairedItems(first=strong, second=np.full((1, 400), 0.0))
    assert (
        paired_difference([clustered], seed=0).standard_error > 2.5 * paired_difference([alone], seed=0).standard_error
    )


def test_one_patient_tells_nothing_of_the_next() -> None:
    right, wrong = np.ones((3, 190)), np.zeros((3, 190))
    one = PairedItems(first=right, second=wrong, groups=["p"] * 190)
    found = paired_difference([one], seed=0)
    assert found.difference == 1.0
    assert found.ci_low < -0.9
    assert found.p_value > 0.5
    _, interval = mean_accuracy([right], groups=[one.groups], seed=0)
    assert interval.low < 0.05
    # Beside a set of many, it widens the mean of both.
    many = PairedItems(first=right, second=wrong)
    both, alone = paired_difference([one, many], seed=0), paired_difference([many], seed=0)
    assert both.ci_low < 0.1 < 0.9 < alone.ci_low


def test_identical_arms_show_nothing() -> None:
    right = (np.random.default_rng(0).random((3, 150)) < 0.7).astype(np.float64)
    found = paired_difference([PairedItems(first=right, second=right)], seed=0)
    assert found.difference == 0.0
    assert found.ci_low < 0 < found.ci_high
    assert found.p_value > 0.5


def test_few_unanimous_questions_are_no_proof() -> None:
    five = PairedItems(first=np.ones((1, 5)), second=np.array([[1.0, 1.0, 0.0, 0.0, 0.0]]))
    found = paired_difference([five], seed=0)
    assert found.difference == pytest.approx(0.6)
    assert found.p_value > 0.05
    assert not found.has_seed_noise


def test_the_same_call_gives_the_same_figures_and_the_opposite_call_the_opposite() -> None:
    (target,) = simulate(np.random.default_rng(5), effect=0.05)
    one, again = paired_difference([target], seed=3), paired_difference([target], seed=3)
    assert one == again
    turned = paired_difference([PairedItems(first=target.second, second=target.first)], seed=3)
    assert turned.difference == pytest.approx(-one.difference)
    assert turned.ci_low == pytest.approx(-one.ci_high, abs=0.01)


def test_an_untrained_arm_brings_no_seed_noise() -> None:
    rng = np.random.default_rng(0)
    trained = (rng.random((3, 300)) < np.array([[0.5], [0.6], [0.7]])).astype(np.float64)
    baseline = (rng.random((1, 300)) < 0.5).astype(np.float64)
    target = PairedItems(first=trained, second=baseline)
    both = paired_difference([target], seed=0)
    fixed = paired_difference([target], seed=0, second_is_trained=False)
    assert both.has_seed_noise
    assert fixed.has_seed_noise
    assert fixed.standard_error < both.standard_error
    nobody = PairedItems(first=baseline, second=baseline)
    assert paired_difference([nobody], seed=0, first_is_trained=False, second_is_trained=False).has_seed_noise


def test_mean_over_targets_weighs_targets_not_questions() -> None:
    small = PairedItems(first=np.ones((2, 10)), second=np.zeros((2, 10)))
    large = PairedItems(first=np.zeros((2, 990)), second=np.zeros((2, 990)))
    assert paired_difference([small, large], seed=0).difference == pytest.approx(0.5)
    accuracy, interval = mean_accuracy([small.first, large.first], seed=0)
    assert accuracy == pytest.approx(0.5)
    assert interval.low < 0.5 < interval.high


def test_accuracy_interval_is_close_to_the_score_interval_for_one_fixed_model() -> None:
    right = np.array([[1.0] * 30 + [0.0] * 70])
    accuracy, (low, high) = mean_accuracy([right], seed=0, is_trained=False)
    assert accuracy == pytest.approx(0.3)
    assert low == pytest.approx(0.219, abs=0.01)  # Wilson: 0.2189 .. 0.3958
    assert high == pytest.approx(0.396, abs=0.01)


@pytest.mark.parametrize(
    "targets",
    [
        [],
        [PairedItems(first=np.ones((2, 3)), second=np.ones((2, 4)))],
        [PairedItems(first=np.ones((2, 0)), second=np.ones((2, 0)))],
        [PairedItems(first=np.ones((2, 3)), second=np.ones((2, 3)), groups=["a"])],
        [PairedItems(first=np.ones((k, 3)), second=np.ones((2, 3))) for k in (2, 3)],
    ],
)
def test_matrices_that_do_not_fit_are_refused(targets: list[PairedItems]) -> None:
    with pytest.raises(ValueError, match=r"need|there is no"):
        paired_difference(targets, seed=0)
