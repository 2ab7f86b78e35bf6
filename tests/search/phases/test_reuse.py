"""Trials of other studies are taken over when, and only when, they are the same training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import SpecError
from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial, TrialFactory
from search.ledger.ledger import Ledger
from search.phases.reuse import adopt, trials_in_common
from search.study.load_study import load_study
from search.study.run_dir import RunDir
from search.vocabulary import Stage
from tests.makers.study_fixture import NUM_ROWS, finish_trial, make_factory, plan_trial, trial_result, write_study
from trainers.trial.folder import finished_result

SOURCES = ("ct-lung", "ct-brain", "mr-brain")
ROWS = dict.fromkeys(SOURCES, NUM_ROWS["train"])


def other_study(root: Path, changes: dict[str, Any] | None = None, **place: Any) -> tuple[Path, PlannedTrial]:
    """Another study's run folder with one finished trial."""
    planned = plan_trial(make_factory(root, changes), {"ct-lung": 4, "mr-brain": 8}, **place)
    run_dir = root / "run"
    finish_trial(run_dir, planned)
    with Ledger.open(run_dir / "ledger", writer=True) as ledger:
        Recorder(RunDir(run_dir), ledger, lambda record: None).record(planned, trial_result(planned))
    return run_dir, planned


def in_common(run_dir: Path, factory: TrialFactory, **change: Any) -> list[PlannedTrial]:
    return list(trials_in_common(RunDir(run_dir), factory, change.pop("sources", SOURCES), ROWS, **change))


def test_an_equal_trial_is_found_and_asked_for_on_this_studys_targets(tmp_path: Path) -> None:
    run_dir, planned = other_study(tmp_path / "other")
    here = make_factory(tmp_path / "here", {"targets": ["mr-lung", "xr-hand"], "control_sources": ["us-heart"]})
    (found,) = in_common(run_dir, here)
    assert found.spec.train_id == planned.spec.train_id
    assert [request.eval_set for request in found.spec.evaluations] == ["mr-lung", "xr-hand"]
    assert (found.stage, found.proposal_index) == (Stage.reused, None)


@pytest.mark.parametrize(
    ("changes", "fingerprint"),
    [({"recipe.num_steps": 5}, "weights"), ({"recipe.learning_rate": 0.5}, "weights"), ({}, "other weights")],
)
def test_what_was_trained_otherwise_is_not_taken(tmp_path: Path, changes: dict[str, Any], fingerprint: str) -> None:
    run_dir, planned = other_study(tmp_path / "other", changes, recipe=recipe_of(changes))
    here = make_factory(tmp_path / "here")
    here._fingerprint = fingerprint
    found = in_common(run_dir, here)
    # A recipe belongs to a trial, so one that this study could search is taken; another backbone never is.
    assert [trial.spec.train_id for trial in found] == ([planned.spec.train_id] if fingerprint == "weights" else [])


def recipe_of(changes: dict[str, Any]) -> Any:
    from tests.makers.study_fixture import changed
    from trainers.recipe import Recipe

    return Recipe.model_validate(changed(changes)["recipe"])


def test_other_rows_of_the_same_subset_are_another_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir, _ = other_study(tmp_path / "other")
    here = make_factory(tmp_path / "here")
    hashes = here._store.row_hashes

    def changed_rows(subset: str, split: str, count: int) -> Any:
        return [h[::-1] if subset == "ct-lung" else h for h in hashes(subset, split, count)]

    monkeypatch.setattr(type(here._store), "row_hashes", lambda self, *args: changed_rows(*args))
    assert in_common(run_dir, here) == []


def test_seeds_of_the_confirmation_sources_left_out_and_lost_weights_are_not_taken(tmp_path: Path) -> None:
    run_dir, planned = other_study(tmp_path / "other")
    here = make_factory(tmp_path / "here")
    assert in_common(run_dir, here, fresh_seeds=(planned.spec.seed,)) == []
    assert in_common(run_dir, here, sources=("ct-lung", "ct-brain")) == []
    weights = run_dir / "trials" / planned.spec.folder_name / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(b"damaged")
    assert in_common(run_dir, here) == []


def test_a_copy_is_whole_and_outlives_the_other_study(tmp_path: Path) -> None:
    run_dir, planned = other_study(tmp_path / "other")
    mine = tmp_path / "mine"
    (mine / "trials").mkdir(parents=True)
    assert adopt(planned.spec, [RunDir(tmp_path / "none"), RunDir(run_dir)], RunDir(mine))
    copied = finished_result(mine / "trials" / planned.spec.folder_name, planned.spec.train_id)
    assert copied == finished_result(run_dir / "trials" / planned.spec.folder_name, planned.spec.train_id)
    assert [path.name for path in (mine / "trials").iterdir()] == [planned.spec.folder_name]
    assert adopt(planned.spec, [], RunDir(mine))
    assert not adopt(planned.spec, [RunDir(tmp_path / "none")], RunDir(tmp_path / "elsewhere"))


def test_a_folder_that_is_no_run_is_a_mistake_with_its_place(tmp_path: Path) -> None:
    path = write_study(tmp_path, {"reuse": ["runs/old"]})
    with pytest.raises(SpecError) as caught:
        load_study(path)
    assert [(p.where, p.found) for p in caught.value.problems] == [("reuse.0", "runs/old")]
