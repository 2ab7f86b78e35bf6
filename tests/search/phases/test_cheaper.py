"""A study that wants the cheaper of two equals takes it to the confirmation, and chooses it there within the points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from search.evidence.confirmation.comparisons import SplitEvidence
from search.evidence.confirmation.racing import best_finalist
from search.evidence.confirmation.training_cost import (
    TrainingCost,
    cheapest_within,
    cost_front,
    cost_of,
    front_sentence,
)
from search.evidence.outcomes import Outcomes
from search.evidence.selection import SelectionRules, build_selection
from search.phases.cheaper import candidate_cost, cheapest_second
from search.planning.constraints import constraint_lines
from search.space.candidate import Candidate
from search.space.composition import Composition
from search.strategies.interface import Observation
from search.study.spec import StudySpec
from search.vocabulary import Status
from tests.makers.records import MadeUpStudy
from tests.makers.study_fixture import changed

WANTED: dict[str, Any] = {
    "confirm.cheaper_within": 2.0,
    "confirm.num_finalists": 2,
    "space.recipe": {"num_steps": [4, 8]},
    "targets": ["ct-lung-nodule"],
}
SCORES = {"finalist-1": 0.8, "finalist-2": 0.79}


def spec_of(changes: dict[str, Any] | None = None) -> StudySpec:
    return StudySpec.model_validate(changed(WANTED | (changes or {})))


def observed(num_samples: int, num_steps: int, value: float) -> Observation:
    candidate = Candidate(Composition({"ct-lung": num_samples}), {"num_steps": num_steps})
    return Observation(candidate=candidate, values=(value,), status=Status.finished, proposal_index=0)


def made() -> MadeUpStudy:
    study = MadeUpStudy(num_questions=2000, seed_sd=0.0)
    for arm, num_steps in (("finalist-1", 80), ("finalist-2", 20)):
        for seed in range(2):
            scored = {("ct-lung-nodule", "confirm"): SCORES[arm]}
            study.add("confirm", arm, {arm: 60}, scored, seed=seed, num_steps=num_steps, recipe={"batch_size": 32})
    return study


def test_passes_count_before_samples_and_equals_keep_the_better() -> None:
    costs = [TrainingCost(640, 240), TrainingCost(640, 120), TrainingCost(320, 240), TrainingCost(320, 240)]
    assert cheapest_within(costs[:2], [0.6, 0.595], 0.01) == 1
    assert cheapest_within(costs, [0.6, 0.6, 0.591, 0.592], 0.01) == 3
    assert cheapest_within(costs, [0.6, 0.6, 0.58, 0.58], 0.01) == 1
    assert cheapest_within(costs, [0.6, 0.5, 0.5, 0.5], 0.0) == 0


def test_the_cheapest_within_the_points_is_second_in_the_confirmation() -> None:
    spec = spec_of()
    best = [observed(8, 8, 0.7), observed(4, 8, 0.69), observed(4, 4, 0.685), observed(8, 4, 0.6)]
    candidates = [o.candidate for o in best]
    ranked, said = cheapest_second(spec, candidates, best)
    assert ranked == [candidates[0], candidates[2], candidates[1], candidates[3]]
    assert said is not None
    assert said.endswith("68.5% on search where the best has 70.0%; 16 passes of 4 samples")
    assert candidate_cost(spec, candidates[0]) == TrainingCost(32, 8)
    trained = {"num_steps": 8, "recipe": spec.recipe_of({"num_steps": 8}).model_dump(), "composition": {"ct-lung": 8}}
    assert cost_of(trained) == candidate_cost(spec, candidates[0])
    far = [best[0], observed(4, 4, 0.6)]
    assert cheapest_second(spec, [o.candidate for o in far], far)[0] == [o.candidate for o in far]
    unasked = spec_of({"confirm.cheaper_within": None})
    assert cheapest_second(unasked, candidates, best) == (candidates, None)


def test_the_confirmation_chooses_the_cheaper_within_the_points_only() -> None:
    study = made()
    evidence = SplitEvidence(study.records, Outcomes(study.load), ("ct-lung-nodule",), "confirm", seed=0)
    arms = list(SCORES)
    assert best_finalist(evidence, arms) == "finalist-1"
    assert best_finalist(evidence, arms, within=5.0) == "finalist-2"
    assert best_finalist(evidence, arms, within=0.01) == "finalist-1"


def test_the_front_has_no_trial_that_a_cheaper_one_equals() -> None:
    study = made()
    recipe = {"batch_size": 32}
    for num_steps, accuracy in ((20, 0.5), (40, 0.7), (60, 0.6), (80, 0.9)):
        scored = {("ct-lung-nodule", "search"): accuracy}
        study.add("search", f"proposal-{num_steps}", {"a": num_steps}, scored, num_steps=num_steps, recipe=recipe)
    front = cost_front(spec_of(), study.records)
    assert [entry["num_passes"] for entry in front] == [640, 1280, 2560]
    rules = SelectionRules(targets=["ct-lung-nodule"], objective="cg", cheaper_within=5.0, front=front)
    selection = build_selection(study.records, Outcomes(study.load), rules)
    assert selection["arm"] == "finalist-2"
    assert len(selection["front"]) == 3
    assert "Best for their training cost" in selection["verdict"]
    assert front_sentence([]) == ""


@pytest.mark.parametrize("changes", [{"confirm.racing": True}, {"confirm.num_finalists": 1}])
def test_it_needs_all_seeds_of_two_finalists(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="cheaper_within chooses among finalists"):
        spec_of(changes)


def test_a_plan_says_when_nothing_can_be_cheaper_but_by_its_samples(tmp_path: Path) -> None:
    (line,) = constraint_lines(spec_of())
    assert line.startswith("cheaper finalist: of finalists within 2 points of the best")
    (alike,) = constraint_lines(spec_of({"space.recipe": None}))
    assert alike.endswith("all trials have as many passes here, so the number of samples decides")
