"""A study file is refused with all its mistakes, each at its place, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from datasets_spec.errors import Problem, SpecError, UserError
from datasets_spec.storage.place import S3Place
from search.study.load_study import load_study
from tests.makers.study_fixture import open_study, write_study


def problems_of(root: Path, changes: dict[str, Any], overrides: tuple[str, ...] = ()) -> dict[str, Problem]:
    path = write_study(root, changes)
    before = sorted(root.rglob("*"))
    with pytest.raises(SpecError) as caught:
        load_study(path, overrides)
    assert sorted(root.rglob("*")) == before
    assert caught.value.exit_code == 2
    return {problem.where: problem for problem in caught.value.problems}


def text_at(problem: Problem) -> str:
    return Path(problem.file).read_text(encoding="utf-8").splitlines()[problem.line - 1][problem.column - 1 :]


def test_a_good_study_loads_with_its_catalog(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    assert study.spec.eval_sets == ("mr-lung",)
    assert study.store_dir == tmp_path / "store"
    assert study.task_map.name == "identity"


def test_a_store_may_lie_in_a_bucket_and_nowhere_further(tmp_path: Path) -> None:
    assert load_study(write_study(tmp_path / "a", {"store": "s3://bucket/stores/a"})).store_dir == S3Place(
        "bucket", "stores/a"
    )
    found = problems_of(tmp_path / "b", {"store": "gs://bucket/stores/a", "targets": ["mr-lun"]})
    assert set(found) == {"store", "targets.0"}
    assert "not from gs://; a store is a folder, or lies at s3://BUCKET/KEY" in found["store"].message
    assert text_at(found["store"]).startswith("gs://bucket")


def test_every_mistake_is_reported_at_once_where_it_stands(tmp_path: Path) -> None:
    found = problems_of(
        tmp_path,
        {
            "targets": ["mr-lunk"],
            "control_sources": ["us-heart", "us-haert"],
            "space.composition.sources": ["ct-lung", "ct-brian", "mr-brain"],
            "few_shot": {"mr-lung": 3},
            "strategy.name": "optuna_tpe",
            "space.recipe": {"lora_modules": ["langauge"], "num_steps": {"kind": "uniform", "low": 4, "high": 8}},
        },
    )
    assert {where: p.nearest for where, p in found.items()} == {
        "targets.0": "mr-lung",
        "control_sources.1": "us-heart",
        "space.composition.sources.1": "ct-brain",
        "few_shot.mr-lung": "mr-lunk",
        "strategy.name": "optuna-tpe",
        "space.recipe.lora_modules": None,
        "space.recipe.num_steps": None,
    }
    for where in ("targets.0", "control_sources.1", "space.composition.sources.1", "strategy.name"):
        assert text_at(found[where]).strip("'\"") == found[where].found


def test_wrong_keys_and_types_are_reported_together(tmp_path: Path) -> None:
    found = problems_of(tmp_path, {"strateggy": {}, "seed": "x", "recipe.learning_rte": 0.1, "confirm.enabled": 3})
    assert set(found) == {"strateggy", "seed", "recipe.learning_rte", "confirm.enabled"}
    assert found["strateggy"].nearest == "strategy"
    assert found["recipe.learning_rte"].nearest == "learning_rate"


def test_an_override_is_blamed_where_it_was_written(tmp_path: Path) -> None:
    overrides = ("seed=3", "space.composition.sources=[ct-lung, ct-brian]")
    problem = problems_of(tmp_path, {}, overrides)["space.composition.sources.1"]
    assert (problem.file, problem.line, problem.column) == ("<command line>", 2, 11)
    assert problem.nearest == "ct-brain"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"space.composition.must_have": ["ct-brain"]}, id="the target's key is in every composition"),
        pytest.param({"space.composition.sources": ["ct-brain"]}, id="there is nothing else"),
        pytest.param({"space.composition.min_size": 3, "space.composition.budget": 24}, id="all must be chosen"),
        pytest.param(
            {"space.composition.sources": ["ct-brain-new"], "few_shot": {"ct-brain-new": 3}}, id="above few_shot"
        ),
    ],
)
def test_a_space_that_is_always_in_domain_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = problems_of(tmp_path, {"targets": ["mr-lung", "ct-brain-new"], **changes})
    assert set(found) == {"targets.1"}
    assert "own key" in found["targets.1"].message


def test_few_shot_rows_of_the_target_itself_are_allowed(tmp_path: Path) -> None:
    changes = {"targets": ["ct-brain"], "space.composition.must_have": ["ct-brain"], "few_shot": {"ct-brain": 4}}
    assert open_study(tmp_path, changes).spec.few_shot == {"ct-brain": 4}
    assert set(problems_of(tmp_path / "3", {**changes, "few_shot": {"ct-brain": 3}})) == {"targets.0"}


def test_targets_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    sources = ["ct-brain", "mr-brain"]  # each alone is in-domain for one of the targets
    found = problems_of(tmp_path, {"targets": ["ct-brain-new", "mr-brain"], "space.composition.sources": sources})
    assert set(found) == {"space.composition.sources"}


def test_targets_and_abilities_are_told_apart(tmp_path: Path) -> None:
    found = problems_of(tmp_path, {"targets": ["mr-brain-time"], "abilities": ["mr-lung"]})
    assert "abilities" in found["targets.0"].message
    assert "targets" in found["abilities.0"].message


def test_a_target_is_listed_once(tmp_path: Path) -> None:
    assert set(problems_of(tmp_path, {"targets": ["mr-lung", "mr-lung"]})) == {"targets.1"}


def test_the_exhaustive_strategy_needs_listed_values(tmp_path: Path) -> None:
    assert set(problems_of(tmp_path, {"strategy.name": "exhaustive"})) == {"strategy.name"}
    listed = {"strategy.name": "exhaustive", "space.recipe": {"num_steps": [4, 8]}}
    assert open_study(tmp_path / "listed", listed).spec.strategy.name == "exhaustive"


def test_missing_files_are_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study\.yaml"):
        load_study(write_study(tmp_path).with_name("studdy.yaml"))
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        open_study(tmp_path, {"catalog": "nowhere.yaml"})
    with pytest.raises(UserError, match="med_mat_strict"):
        open_study(tmp_path, {"task_map": "med_mat_strickt"})


def test_the_studys_task_map_replaces_the_catalogs(tmp_path: Path) -> None:
    text = "name: mine\nversion: '1'\ntasks: {nodule: lesion, tumor: lesion}\n"
    (tmp_path / "map.yaml").write_text(text, encoding="utf-8")
    study = open_study(tmp_path, {"task_map": "map.yaml"})
    assert study.task_map.tasks == {"nodule": "lesion", "tumor": "lesion"}


def licensed_catalog(root: Path, facts: dict[str, dict[str, Any]]) -> None:
    """The fixture's catalog with further facts about some subsets."""
    path = root / "catalog.yaml"
    catalog = yaml.safe_load(path.read_text(encoding="utf-8"))
    for subset in catalog["subsets"]:
        subset.update(facts.get(subset["name"], {}))
    path.write_text(yaml.safe_dump(catalog), encoding="utf-8")


def test_licences_and_costs_of_the_catalog_bind_the_space(tmp_path: Path) -> None:
    changes = {"space.composition.licences": ["CC-BY-4.0"], "space.composition.max_cost": 30}
    path = write_study(tmp_path, changes)
    facts = {"licence": "CC-BY-4.0", "sample_cost": 0.5}
    licensed_catalog(
        tmp_path,
        {
            "ct-lung": facts,
            "ct-brain": {"licence": "CC-BY-NC-4.0"},
            "mr-brain": facts,
            "us-heart": facts,
            "xr-hand": facts,
        },
    )
    space = load_study(path).spec.space.composition
    assert "ct-brain" not in space.allowed
    assert {"ct-lung", "mr-brain"} <= set(space.allowed)
    assert all(space.cost(composition) <= 30 for composition in space.enumerate())
    assert load_study(path).spec == load_study(path).spec.model_validate(load_study(path).spec.model_dump())


def test_what_the_catalog_does_not_say_is_a_mistake(tmp_path: Path) -> None:
    changes = {
        "space.composition.licences": ["CC-BY-4.0"],
        "space.composition.max_cost": 30,
        "space.composition.must_have": ["ct-brain"],
    }
    path = write_study(tmp_path, changes)
    licensed_catalog(tmp_path, {"ct-lung": {"licence": "CC-BY-4.0"}})
    with pytest.raises(SpecError) as caught:
        load_study(path)
    found = {problem.where: problem.message for problem in caught.value.problems}
    assert found["space.composition.must_have.0"] == "its licence is 'not stated', which `licences` leaves out"
    assert "has no sample_cost in the catalog" in found["space.composition.sources.0"]
    assert "control_sources.0" in found


def test_a_catalog_in_place_of_a_study_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("name: mine\nsubsets: []\n")
    with pytest.raises(UserError, match=r"catalog.yaml is a catalog, not a study\n.*`catalog: catalog.yaml`"):
        load_study(path)
