"""Simulated campaigns: the world keeps its promises, and what the study's code says of it is honest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from search.bench.honesty.campaign import Protocol, confirm, open_sealed, run_campaign
from search.bench.honesty.figures import run_campaigns, world_of
from search.bench.honesty.world import Campaign, World
from search.cli.verbs import app
from search.vocabulary import Stage


def test_a_worlds_accuracies_are_what_it_says() -> None:
    world = World(candidates={"a": 0.7}, comparators={}, num_items={"sealed": 400}, targets=("t",), patient_size=4)
    scores = []
    for seed in range(60):
        campaign = Campaign(world, seed)
        campaign.run(Stage.sealed, "arm", "a", split="sealed", seed=1, accuracy=0.7)
        scores.append(campaign.records[0]["evaluations"][0]["accuracy"])
    assert np.mean(scores) == pytest.approx(0.7, abs=0.012)


def test_the_same_run_gives_the_same_answers_and_other_seeds_others() -> None:
    world = World(candidates={"a": 0.7}, comparators={}, num_items={"confirm": 50}, targets=("t",))
    campaign = Campaign(world, 3)
    for seed in (1, 1, 2):
        campaign.run(Stage.confirm, "arm", "a", split="confirm", seed=seed, accuracy=0.7)
    one, again, other = (campaign.load(f"trials/{k}")["correct"] for k in range(3))
    assert one == again != other


def test_a_campaign_is_a_pure_function_of_its_seed() -> None:
    world = world_of("signal", 5)
    assert run_campaign(world, 5) == run_campaign(world, 5)


def test_sealed_is_shown_to_the_chosen_finalist_and_what_it_is_compared_with() -> None:
    world = World(candidates={"a": 0.7, "b": 0.6, "c": 0.5}, comparators={"baseline": 0.4, "control": 0.5, "all": 0.5})
    campaign = Campaign(world, 1)
    chosen = confirm(campaign, {"finalist-1": "a", "finalist-2": "b", "finalist-3": "c"}, Protocol(num_seeds=3))
    open_sealed(campaign, chosen)
    shown = {record["arm"] for record in campaign.records if record["stage"] == Stage.sealed}
    assert shown == {chosen, "baseline", "control:first", "control:second", "all"}


def test_a_short_null_run_is_honest() -> None:
    figures = {f.figure.split(",")[0]: f for f in run_campaigns("null", 24, seed=0, on_event=lambda line: None)}
    covered = figures["sealed 95 % interval covers the truth"]
    naive = figures["naive best of the search - its truth"]
    corrected = figures["the same after its winner's curse"]
    assert covered.value >= 0.85
    assert naive.value > 5  # points: the best of a hundred equal candidates looks good
    assert abs(corrected.value) < 2.5


def test_the_command_prints_one_object_a_figure() -> None:
    result = CliRunner().invoke(app, ["bench", "honesty", "--scenario", "signal", "--num-campaigns", "3", "--json"])
    assert result.exit_code == 0, result.output
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert {"scenario", "figure", "value", "ci_low", "ci_high", "is_reached"} <= set(objects[0])
    wrong = CliRunner().invoke(app, ["bench", "honesty", "--scenario", "nul"])
    assert "Did you mean 'null'?" in str(wrong.exception)
