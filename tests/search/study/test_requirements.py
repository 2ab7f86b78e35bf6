"""What `recombine run` refuses, `recombine plan` refuses in the same words."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from datasets_spec.errors import UserError
from datasets_spec.prepare import prepare_store
from search.cli.plan import show_plan
from search.cli.run import run_command
from search.phases.open_study import open_run
from search.study.requirements import require_backbones, require_rows
from search.study.run_dir import RunDir
from search.study.study import Study
from tests.makers.study_fixture import open_study, write_store, write_study
from trainers.backbone_spec import PHANTOM_DIR, BackboneSpec

TOO_FEW = {"ct-lung/train": 0, "mr-brain/train": 0, "mr-lung/confirm": 0, "us-heart/search": 0}


def refusal_of_plan(path: Path, *overrides: str) -> UserError:
    with pytest.raises(UserError) as caught:
        show_plan(path, overrides, None)
    assert caught.value.exit_code == 2
    return caught.value


def test_too_few_rows_are_all_named_before_the_study_starts(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    require_rows(study, write_store(study).count)
    with pytest.raises(UserError) as caught:
        require_rows(study, write_store(study, TOO_FEW).count)
    lines = caught.value.message.splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["source ct-lung", "source mr-brain", "target mr-lung"]


def test_plan_and_run_refuse_too_few_rows_in_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_study(tmp_path)
    study = open_study(tmp_path)
    prepared = SimpleNamespace(manifest=write_store(study, TOO_FEW).manifest, was_current=True)
    planned = refusal_of_plan(path)
    assert "ct-lung" in capsys.readouterr().out  # the rows are shown all the same
    monkeypatch.setattr(prepare_store, "prepare_store", Mock(return_value=prepared))
    listeners = {"say": Mock(), "on_record": Mock(), "on_running": Mock()}
    with pytest.raises(UserError) as run, open_run(study, RunDir(tmp_path / "run"), **listeners, accept_loss=False):
        pass
    assert str(planned) == str(run.value)


@pytest.mark.parametrize(
    ("model", "words"), [("../none", "there is no folder"), ("org/model", "a hub model needs a revision")]
)
def test_plan_and_run_refuse_a_backbone_in_the_same_words(model: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    path = write_study(tmp_path / "deep")
    planned = refusal_of_plan(path, f"backbone.model={model}")
    with pytest.raises(UserError) as run:
        run_command(path, [f"backbone.model={model}"], None, None)
    assert words in planned.message
    assert str(planned) == str(run.value)
    if model.startswith("."):
        assert str(tmp_path / "none") in planned.message


def test_everything_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    write_store(open_study(tmp_path), TOO_FEW)
    refused = refusal_of_plan(path, "backbone.model=./none")
    assert "there is no folder" in refused.message
    assert "source ct-lung: no rows in its `train` split" in refused.message


def located(study: Study, model: str) -> str:
    return study.located(BackboneSpec(model=model)).model


def test_a_backbone_s_folder_starts_from_the_study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    study = open_study(tmp_path / "deep")
    for place in ("model", "deep/models/model"):
        shutil.copytree(PHANTOM_DIR, tmp_path / place)
    monkeypatch.chdir(tmp_path)
    assert located(study, "../model") == str(tmp_path / "model")
    assert located(study, "models/model") == str(tmp_path / "deep" / "models" / "model")
    assert located(study, str(tmp_path / "model")) == str(tmp_path / "model")
    assert (located(study, "org/model"), located(study, "phantom")) == ("org/model", "phantom")
    changes = {"backbone.model": "../model"}
    require_backbones(open_study(tmp_path / "deep", changes))
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(UserError, match="paths start from the study file"):
        require_backbones(open_study(tmp_path / "deep", changes))


def test_each_backbone_of_a_design_is_looked_for(tmp_path: Path) -> None:
    backbones = [{"model": "phantom"}, {"model": "./none"}]
    study = open_study(tmp_path, {"design": {"kind": "few_shot", "backbones": backbones}})
    with pytest.raises(UserError, match="there is no folder"):
        require_backbones(study)
