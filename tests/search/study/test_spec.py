"""What a study file may say, apart from what it refers to."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from search.study.spec import StudySpec
from tests.makers.study_fixture import changed


def spec_of(changes: dict[str, Any]) -> StudySpec:
    return StudySpec.model_validate(changed(changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "pareto"}, "abilities"),
        ({"objective": "multi_image"}, "abilities"),
        ({"space.recipe": {"learning_rte": [0.1]}}, "learning_rte"),
        ({"confirm.seeds": [101, 0]}, "confirm.seeds must be fresh"),
        ({"confirm.further_seeds": [0]}, "confirm.further_seeds must be fresh"),
        ({"confirm.further_seeds": [7, 8, 7]}, "lists 7 more than once"),
        ({"confirm.further_seeds": [101]}, "stands in seeds already"),
        ({"seed": 101}, "fresh"),
        ({"abilities": ["mr-lung"]}, "both"),
        ({"targets": []}, "targets"),
        ({"name": "../elsewhere"}, "name"),
        ({"quarantine_limit": 1.5}, "quarantine_limit"),
        ({"few_shot": {"mr-lung": 0}}, "few_shot"),
        ({"typo": 1}, "typo"),
        ({"early_stopping.enabled": True, "execution.num_workers": 2}, "early_stopping needs slots"),
        ({"execution.num_workers": 2, "recipe.batch_size": 3}, "3 samples cannot be shared evenly by 2 workers"),
        ({"execution.slots": [{}], "execution.executor": "nested"}, "of the pooled executor"),
        ({"execution.slots": [{"gpus": 1}]}, "ask for GPUs"),
        ({"execution.slots": [{"accelerator": "A100"}]}, "ask for GPUs"),
        ({"execution.slots": [{"cont": 2}]}, "cont"),
        ({"execution.num_workers": 3, "space.recipe.batch_size": [6, 8]}, "8 samples cannot be shared"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec_of(changes)


def test_the_searchs_seed_may_be_reused_when_nothing_is_confirmed() -> None:
    assert not spec_of({"confirm.enabled": False, "seed": 101}).confirm.enabled


def test_a_seed_that_is_listed_twice_is_one() -> None:
    assert spec_of({"confirm.seeds": [102, 101, 102]}).confirm.seeds == (102, 101)


@pytest.mark.parametrize(
    ("objective", "sets", "num_objectives"),
    [("cg", ("mr-lung",), 1), ("multi_image", ("mr-brain-time",), 1), ("pareto", ("mr-lung", "mr-brain-time"), 2)],
)
def test_each_objective_is_made_of_its_own_sets(objective: str, sets: tuple[str, ...], num_objectives: int) -> None:
    spec = spec_of({"objective": objective, "abilities": ["mr-brain-time"]})
    assert spec.objective_sets == sets
    assert spec.num_objectives == num_objectives
    assert spec.eval_sets == ("mr-lung", "mr-brain-time")


def test_single_sources_have_the_largest_number_unless_said_otherwise() -> None:
    assert spec_of({}).single_num_samples == 8
    assert spec_of({"transfer.num_samples": 5}).single_num_samples == 5


def test_searched_values_replace_the_studys_and_nothing_else() -> None:
    spec = spec_of({"recipe.lora_rank": 2})
    assert spec.recipe_of({"learning_rate": 0.25}).model_dump() == {**spec.recipe.model_dump(), "learning_rate": 0.25}
    with pytest.raises(ValidationError):
        spec.recipe_of({"num_steps": -1})


def test_the_widest_recipe_has_what_any_trial_may_have() -> None:
    def widest(**changes: Any) -> tuple[bool, str]:
        recipe = spec_of(changes).widest_recipe
        return recipe.lora_dropout > 0, recipe.lora_modules

    assert widest() == (False, "attention")
    assert widest(**{"recipe.lora_dropout": 0.1}) == (True, "attention")
    # A searched dimension replaces the fixed value.
    assert widest(**{"recipe.lora_dropout": 0.1, "space.recipe.lora_dropout": [0.0]}) == (False, "attention")
    assert widest(**{"space.recipe.lora_dropout": {"kind": "uniform", "low": 0.0, "high": 0.2}})[0]
    searched = {"space.recipe.lora_modules": ["language+projector", "attention"]}
    assert widest(**searched) == (False, "language+projector")


@pytest.mark.parametrize("asked", ["auto", "pooled", "nested"])
def test_several_workers_share_a_trial_in_the_nested_executor_only(asked: str) -> None:
    execution = spec_of({"execution.num_workers": 2, "execution.executor": asked, "recipe.batch_size": 4}).execution
    assert execution.chosen_executor[0] == "nested"
    assert "several workers" in execution.chosen_executor[1]
