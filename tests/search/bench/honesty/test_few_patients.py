"""Worlds of few patients: they are what they say, and the study's intervals over them hold."""

from __future__ import annotations

import numpy as np
import pytest

from search.bench.honesty.few_patients import PATIENT_SCENARIOS, PatientScenario, patient_world, run_patients
from search.bench.honesty.world import Campaign
from search.vocabulary import Stage


@pytest.mark.parametrize("scenario", PATIENT_SCENARIOS)
def test_a_worlds_accuracies_are_what_it_says(scenario: PatientScenario) -> None:
    world = patient_world(scenario, 8, 0, has_signal=False)
    scores = []
    for seed in range(150):
        campaign = Campaign(world, seed)
        campaign.run(Stage.sealed, "arm", "c0", split="sealed", seed=1, accuracy=0.6)
        scores.append(campaign.records[0]["evaluations"][0]["accuracy"])
    assert np.mean(scores) == pytest.approx(0.6, abs=0.02)
    assert np.std(scores) > 0.05  # 300 questions of 300 patients: 0.028, and as much again by training


def test_patients_have_as_many_questions_as_they_should() -> None:
    equal, uneven = (patient_world(s, 5, 0, has_signal=False) for s in PATIENT_SCENARIOS[:2])
    assert np.bincount(equal.patients("sealed")).tolist() == [60] * 5
    sizes = np.bincount(uneven.patients("sealed"))
    assert sizes[0] == 134
    assert len(sizes) == 5
    assert len(set((Campaign(uneven, 0).groups or {}).values())) == 15  # five in each of three splits


def test_intervals_over_five_patients_hold_their_differences() -> None:
    figures = {
        figure.figure.split(": ")[1]: figure.value
        for figure in run_patients("few-patients", 30, numbers=(5,), seed=0, on_event=lambda line: None)
    }
    assert figures["95 % interval of a difference covers it"] >= 0.93
    assert figures["simultaneous 95 % intervals all cover"] >= 0.9
