"""What results are computed from: of another version it says so, and damaged it says that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets_spec.errors import UserError
from datasets_spec.store.store import open_store
from search.evidence.blind import blind_figures
from search.evidence.inputs.recorded_study import read_recorded, record_study
from search.ledger.records import Kind
from search.study.run_dir import RunDir, RunFile
from search.study.study import Study


@pytest.fixture
def run_dir(finished_dir: RunDir, tmp_path: Path) -> RunDir:
    (tmp_path / "inputs").mkdir()
    for name in (RunFile.facts, RunFile.questions):
        (tmp_path / name).write_bytes((finished_dir / name).read_bytes())
    return RunDir(tmp_path)


def test_facts_of_another_version_name_it_and_what_writes_them_anew(run_dir: RunDir) -> None:
    content = json.loads((run_dir / RunFile.facts).read_text())
    content["environment"] |= {"source_sha256": "f" * 64}
    (run_dir / RunFile.facts).write_text(json.dumps(content))
    assert read_recorded(run_dir).spec.name == "tiny"  # what can be read is read
    (run_dir / RunFile.facts).write_text(json.dumps(content | {"of_a_later_version": 1}))
    with pytest.raises(UserError, match=r"was written by recombine .* \(sources ffffffffffff\)") as error:
        read_recorded(run_dir)
    assert "recombine report STUDY --run-dir" in str(error.value.hint)


def test_facts_of_this_version_that_cannot_be_read_are_damaged(run_dir: RunDir) -> None:
    content = json.loads((run_dir / RunFile.facts).read_text())
    (run_dir / RunFile.facts).write_text(json.dumps(content | {"spec": None}))
    with pytest.raises(UserError, match="is damaged"):
        read_recorded(run_dir)
    (run_dir / RunFile.facts).write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        read_recorded(run_dir)


def test_what_sealed_yields_without_images_is_recorded_once_it_is_opened(
    finished: tuple[Study, RunDir], run_dir: RunDir
) -> None:
    study, records = finished[0], finished[1].read_records()
    store = open_store(study.store_dir)
    unopened = tuple(record for record in records if record["kind"] != Kind.sealed_opened)
    record_study(study, store, run_dir, unopened)
    assert read_recorded(run_dir).facts.blind_sealed == {}
    record_study(study, store, run_dir, records)
    expected = blind_figures(store, study.spec.eval_sets, study.spec.score, "sealed")
    assert read_recorded(run_dir).facts.blind_sealed == json.loads(json.dumps(expected))
