"""A constraint is called kept or broken only where its interval says so."""

from __future__ import annotations

from typing import Any

import pytest

from search.evidence.confirmation.constraints import constraints_sentence
from search.evidence.outcomes import Outcomes
from search.evidence.selection import SelectionRules, build_selection
from search.study.sections.constraints import ConstraintsSection
from tests.makers.records import MadeUpStudy

TARGET, OTHER = "ct-lung-nodule", "us-breast-mass"
MIX = {"ct-brain-bleed": 60}


def selection(
    accuracy: float,
    after: float,
    section: ConstraintsSection | None,
    *,
    num_seeds: int = 3,
    num_finalists: int = 1,
    sealed: bool = False,
    no_image_sealed: float | None = None,
) -> dict[str, Any]:
    study = MadeUpStudy(num_questions=600, seed_sd=0.005)
    study.add("baseline", "baseline", {}, {(OTHER, "confirm"): 0.8, (TARGET, "confirm"): 0.3})
    for seed in range(num_seeds):
        study.add("confirm", "finalist-1", MIX, {(OTHER, "confirm"): after, (TARGET, "confirm"): accuracy}, seed=seed)
        for rank in range(2, num_finalists + 1):
            scored = {(OTHER, "confirm"): after, (TARGET, "confirm"): accuracy - 0.2}
            study.add("confirm", f"finalist-{rank}", {"ct-brain-bleed": 60 + rank}, scored, seed=seed)
        if sealed:
            study.add("sealed", "finalist-1", MIX, {(TARGET, "sealed"): accuracy - 0.3}, seed=seed)
    rules = SelectionRules(
        targets=[TARGET],
        objective="cg",
        constraints=section,
        kept_sets=[OTHER],
        no_image={
            "confirm": {TARGET: 0.5},
            "sealed": {} if no_image_sealed is None else {TARGET: no_image_sealed},
        },
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
    found = selection(0.7, 0.8, ConstraintsSection(no_image_floor=True), sealed=True, no_image_sealed=0.5)
    (entry,) = found["constraints"]
    assert (entry["split"], entry["state"]) == ("sealed", "broken")


def test_floors_are_what_is_reached_without_images_on_the_same_questions() -> None:
    section = ConstraintsSection(no_image_floor=True)
    (entry,) = selection(0.7, 0.8, section, sealed=True, no_image_sealed=0.2)["constraints"]
    assert (entry["split"], entry["least"], entry["state"]) == ("sealed", 0.2, "kept")
    (entry,) = selection(0.7, 0.8, section, sealed=True)["constraints"]  # nothing is known of sealed
    assert (entry["split"], entry["least"], entry["state"]) == ("confirm", 0.5, "kept")


def test_losses_pay_for_the_choice_among_finalists_too() -> None:
    section = ConstraintsSection(most_lost=10.0)
    (one,), (five,) = (selection(0.7, 0.75, section, num_finalists=n)["constraints"] for n in (1, 5))
    assert one["value"] == five["value"]
    assert five["low"] < one["low"] < one["high"] < five["high"]


def test_what_must_be_kept_is_not_told_among_retained_sets() -> None:
    found = selection(0.7, 0.5, BOTH)
    assert found["retained"] == []
    assert "what the backbone did before" not in found["verdict"]
    assert "other evaluation set" not in selection(0.7, 0.8, BOTH)["verdict"]


def test_words_say_what_was_asked() -> None:
    text = constraints_sentence(selection(0.3, 0.5, BOTH)["constraints"])
    assert text.startswith("Of the study's 2 constraints broken: ct-lung-nodule (")
    assert "50.0 % asked" in text
    assert "-10.0 allowed" in text
    assert "constraints" not in selection(0.7, 0.8, None)
    assert constraints_sentence([]) == ""
