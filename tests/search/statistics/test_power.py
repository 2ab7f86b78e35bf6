"""What a study can see: the formula against simulated comparisons, and what it takes to see more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.bench.honesty.campaign import run_campaign
from search.bench.honesty.world import Campaign, World
from search.evidence.finding.measured_noise import measured_noise
from search.evidence.outcomes import ArmOutcomes
from search.statistics.power import (
    ASSUMED,
    Noise,
    detectable,
    expected_gain,
    questions_needed,
    seeds_needed,
    trials_needed,
)
from search.vocabulary import Stage


def arms_of(world: World, *, num_arms: int, num_seeds: int) -> list[ArmOutcomes]:
    campaign, found = Campaign(world, 0), []
    for k in range(num_arms):
        rows = []
        for seed in range(num_seeds):
            campaign.run(Stage.confirm, f"a{k}", f"a{k}", split="confirm", seed=seed, accuracy=0.6)
            rows.append(np.array(campaign.load(f"trials/{len(campaign.records) - 1}")["correct"], dtype=float))
        ids = tuple(map(str, range(len(rows[0]))))
        found.append(ArmOutcomes(sample_ids=ids, right=np.stack(rows), seeds=tuple(range(num_seeds)), is_trained=True))
    return found


@given(st.integers(2, 10), st.integers(20, 2000), st.integers(1, 8))
def test_more_of_anything_sees_more_and_more_comparisons_see_less(seeds: int, questions: int, targets: int) -> None:
    def see(**change: int) -> float:
        numbers = {"num_seeds": seeds, "num_questions": questions, "num_targets": targets} | change
        return detectable(ASSUMED, **numbers).difference

    assert see(num_seeds=seeds + 1) < see(num_further=1) < see()
    assert see(num_questions=2 * questions) < see()
    assert see(num_targets=targets + 1) < see()
    assert see(num_comparisons=9) > see()


@given(st.floats(0.03, 0.3))
def test_what_is_needed_is_enough_and_one_less_is_not(difference: float) -> None:
    noise = Noise(shift_sd=0.02, pairing=0.3, num_arms=0)
    number = questions_needed(noise, difference, num_seeds=3)
    if number is not None:
        assert detectable(noise, num_seeds=3, num_questions=number).difference <= difference
        assert number == 1 or detectable(noise, num_seeds=3, num_questions=number - 1).difference > difference
    seeds = seeds_needed(noise, difference, num_questions=300)
    if seeds is not None and seeds > 2:
        assert detectable(noise, num_seeds=seeds - 1, num_questions=300).difference > difference


def test_training_noise_can_hide_a_difference_from_any_number_of_questions() -> None:
    assert questions_needed(Noise(shift_sd=0.09, pairing=0.4, num_arms=0), 0.05, num_seeds=3) is None


def test_noise_is_measured_where_arms_have_seeds_and_assumed_elsewhere() -> None:
    world = World(candidates={}, comparators={}, targets=("t",), num_items={"confirm": 3000}, seed_sd=0.04)
    noise = measured_noise({"t": arms_of(world, num_arms=30, num_seeds=3)})
    assert noise.is_measured
    assert noise.shift_sd == pytest.approx(0.04, rel=0.25)
    assert measured_noise({"t": arms_of(world, num_arms=3, num_seeds=1)}) == ASSUMED
    assert measured_noise({}) == ASSUMED


def test_the_plan_agrees_with_what_campaigns_state_afterwards() -> None:
    world = World(candidates={f"c{k}": 0.6 for k in range(10)}, comparators={
        "control": 0.6, "baseline": 0.6, "all-data": 0.6, "best-single": 0.6, "random-same-size": 0.6})  # fmt: skip
    stated = [run_campaign(world, seed).detectable["control"] for seed in range(12)]
    noise = measured_noise({"t": arms_of(world, num_arms=20, num_seeds=3)})
    planned = detectable(noise, num_seeds=2, num_questions=300, num_targets=2, num_comparisons=5).difference
    assert planned == pytest.approx(float(np.mean(stated)), rel=0.35)


def test_the_best_of_many_noisy_trials_gains_what_simulation_says() -> None:
    rng = np.random.default_rng(0)
    worth = rng.normal(0, 0.03, (4000, 40))
    seen = worth + rng.normal(0, 0.05, worth.shape)
    simulated = worth[np.arange(4000), seen.argmax(axis=1)].mean()
    assert expected_gain(40, worth_sd=0.03, noise_sd=0.05) == pytest.approx(simulated, rel=0.05)
    needed = trials_needed(0.02, worth_sd=0.03, noise_sd=0.05)
    assert needed is not None
    assert expected_gain(needed - 1, worth_sd=0.03, noise_sd=0.05) < 0.02
    assert trials_needed(0.2, worth_sd=0.03, noise_sd=0.05) is None
    assert expected_gain(40, worth_sd=0.0, noise_sd=0.05) == 0.0
