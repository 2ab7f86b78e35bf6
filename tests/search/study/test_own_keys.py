"""What could not count is not proposed, and is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import SpecError
from search.study.objective import objective_values, own_keys_seen
from search.study.own_keys import own_keys_line
from tests.makers.study_fixture import open_study

TARGETS = {"targets": ["mr-lung", "ct-brain-new"]}  # `ct-brain` has the key of the second


def test_no_composition_of_the_space_is_in_domain_for_a_target(tmp_path: Path) -> None:
    study = open_study(tmp_path, TARGETS)
    space = study.spec.space.composition
    assert space.allowed == ("ct-lung", "mr-brain")
    assert space.available == ("ct-brain", "ct-lung", "mr-brain"), "the matrix has it all the same"
    for composition in space.enumerate():
        assert {study.exposures.of(composition, target) for target in TARGETS["targets"]} == {"held_out"}


def test_few_shot_rows_of_the_target_itself_may_be_proposed(tmp_path: Path) -> None:
    changes = {"targets": ["ct-brain"], "few_shot": {"ct-brain": 4}}
    space = open_study(tmp_path, changes).spec.space.composition
    assert space.own_key_samples == {"ct-brain": 4}
    assert {c.get("ct-brain", 0) for c in space.enumerate()} == {0, 4}
    assert space.contains({"ct-brain": 4, "ct-lung": 8})
    assert "more than 4" in space.violations({"ct-brain": 8})[0]


def test_a_space_without_own_keys_is_left_alone(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    assert study.spec.space.composition.own_key_samples is None
    assert own_keys_line(study) is None


def test_a_plan_says_what_is_not_proposed_and_why(tmp_path: Path) -> None:
    line = own_keys_line(open_study(tmp_path, TARGETS))
    assert line is not None
    assert line.startswith("own keys: the search proposes no ct-brain (ct-brain-new)")
    assert line.endswith("alone it is a row of the transfer matrix")


def test_what_is_left_must_hold_a_composition(tmp_path: Path) -> None:
    licensed: dict[str, Any] = {"space.composition.must_not_have": ["ct-lung", "mr-brain"]}
    with pytest.raises(SpecError, match="own key"):
        open_study(tmp_path, TARGETS | licensed)


def test_a_trial_that_saw_an_own_key_has_no_value_and_names_it(tmp_path: Path) -> None:
    spec = open_study(tmp_path, TARGETS).spec
    evaluations = [
        {"eval_set": name, "split": "search", "exposure": exposure, "accuracy": 0.5}
        for name, exposure in zip(TARGETS["targets"], ("held_out", "in_domain"), strict=True)
    ]
    record = {"status": "finished", "stage": "search", "evaluations": evaluations}
    assert own_keys_seen(spec, record) == ("ct-brain-new",)
    assert objective_values(spec, record) is None
    assert own_keys_seen(spec, record | {"evaluations": []}) == ()
