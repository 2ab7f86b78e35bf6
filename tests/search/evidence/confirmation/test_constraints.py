"""A constraint is called kept or broken only where its interval says so."""

from __future__ import annotations

from typing import Any

import pytest

from search.evidence.confirmation.constraints import constraints_sentence
from search.evidence.outcomes import Outcomes
from search.evidence.selection import SelectionRules, build_selection
from search.study.constraints_section import ConstraintsSection
from tests.makers.records import MadeUpStudy

TARGET, OTHER = "ct-lung-nodule", "us-breast-mass"
MIX = {"ct-brain-bleed": 60}


def selection(
    accuracy: float, after: float, section: ConstraintsSection | None, *, num_seeds: int = 3, sealed: bool = False
) -> dict[str, Any]:
    study = MadeUpStudy(num_questions=600, seed_sd=0.005)
    study.add("baseline", "baseline", {}, {(OTHER, "confirm"): 0.8, (TARGET, "confirm"): 0.3})
    for seed in range(num_seeds):
        study.add("confirm", "finalist-1", MIX, {(OTHER, "confirm"): after, (TARGET, "confirm"): accuracy}, seed=seed)
        if sealed:
            study.add("sealed", "finalist-1", MIX, {(TARGET, "sealed"): accuracy - 0.3}, seed=seed)
    rules = SelectionRules(
        targets=[TARGET], objective="cg", retained=[OTHER], constraints=section, no_image={TARGET: 0.5}
    )
    return build_selection(study.records, Outcomes(study.load), rules)


BOTH = ConstraintsSection(no_image_floor=True, most_lost=10.0)


@pytest.mark.parametrize(
    ("accuracy", "after", "states"),
    [
        (0.7, 0.8, ["kept", "kept"]),
        (0.3, 0.5, ["broken", "broken"]),
        (0.5, 0.7, ["not shown", "not shown"]),
    ],
)
def test_states_follow_the_intervals(accuracy: float, after: float, states: list[str]) -> None:
    found = selection(accuracy, after, BOTH)
    assert [entry["state"] for entry in found["constraints"]] == states
    assert "Of the study's 2 constraints" in found["verdict"]


def test_one_seed_shows_nothing_of_training_noise_and_claims_nothing() -> None:
    found = selection(0.9, 0.8, ConstraintsSection(no_image_floor=True), num_seeds=1)
    assert [entry["state"] for entry in found["constraints"]] == ["not shown"]


def test_floors_are_judged_on_the_strongest_split() -> None:
    found = selection(0.7, 0.8, ConstraintsSection(no_image_floor=True), sealed=True)
    (entry,) = found["constraints"]
    assert (entry["split"], entry["state"]) == ("sealed", "broken")


def test_words_say_what_was_asked() -> None:
    text = constraints_sentence(selection(0.3, 0.5, BOTH)["constraints"])
    assert text.startswith("Of the study's 2 constraints broken: ct-lung-nodule (")
    assert "50.0 % asked" in text
    assert "-10.0 allowed" in text
    assert "constraints" not in selection(0.7, 0.8, None)
    assert constraints_sentence([]) == ""
