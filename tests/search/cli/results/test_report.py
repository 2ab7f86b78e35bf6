"""`recombine report` writes results of the study that was run, from the rows it was trained on, and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from datasets_spec.store.manifest import read_manifest, write_manifest
from search.cli.verbs import app
from search.ledger.ledger import Ledger
from search.study.run_dir import RunDir, RunFile
from search.study.study import Study
from tests.makers import finished_run
from tests.makers.finished_run import finished_study


@pytest.fixture
def own(tmp_path: Path) -> tuple[Study, RunDir]:
    return finished_study(tmp_path)


def call(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, f"{result.output} {result.exception or ''}"


def written(run_dir: RunDir) -> list[bytes]:
    return [(run_dir / name).read_bytes() for name in (RunFile.mix, RunFile.selection, RunFile.run, RunFile.facts)]


@pytest.mark.parametrize("verb", ["report", "explain"])
def test_another_study_is_refused_with_its_differences(own: tuple[Study, RunDir], verb: str) -> None:
    study, run_dir = own
    before = written(run_dir)
    code, said = call(verb, study.path, "seed=7", "score.open=exact")
    assert code != 0
    assert "seed: was 0, is 7" in said
    assert "score.open: was " in said
    assert written(run_dir) == before


def test_rows_that_it_was_not_trained_on_are_refused(own: tuple[Study, RunDir]) -> None:
    study, run_dir = own
    before, manifest = written(run_dir), read_manifest(study.store_dir)
    assert manifest is not None
    write_manifest(study.store_dir, manifest.model_copy(update={"fingerprint": "other rows"}))  # another study's
    code, said = call("report", study.path)
    assert code != 0
    assert "holds other rows (other rows) than" in said
    assert written(run_dir) == before


def test_a_store_that_was_moved_and_new_strata_are_no_other_study(own: tuple[Study, RunDir], tmp_path: Path) -> None:
    study, _ = own
    moved = tmp_path / "moved"
    Path(str(study.store_dir)).rename(moved)
    (tmp_path / "sites.csv").write_text("sample_id,site\nmr-lung/confirm#0,a\n")
    code, said = call("report", study.path, f"store={moved}", "strata=sites.csv")
    assert code == 0, said


def test_a_study_whose_finalists_have_all_failed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = [trial for trial in finished_run.TRIALS if trial[0] not in ("confirm", "sealed")]
    monkeypatch.setattr(finished_run, "TRIALS", searched)
    study, run_dir = finished_study(tmp_path)
    failed = {"stage": "confirm", "arm": "finalist-1", "status": "oom", "evaluations": [], "train_id": "f"}
    with Ledger.open(run_dir / RunFile.ledger, writer=True) as ledger:
        ledger.append({**run_dir.read_trials()[-1], **failed, "seed": 101})
    code, said = call("report", study.path)
    assert code == 0, said
    assert not (run_dir / RunFile.selection).exists()
    page = (run_dir / RunFile.page).read_text()
    assert "No selection yet." in page
    assert "No finalist has been scored on confirm: 1 trial of the confirmation failed." in page
