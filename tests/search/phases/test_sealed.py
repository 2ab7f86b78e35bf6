"""`sealed` opens once a study; a second opening is refused, and openings by other studies are told."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import UserError
from datasets_spec.storage.place import S3Place
from datasets_spec.storage.s3_bucket import forget_sessions
from search.engine.recorder import Recorder
from search.engine.study_run import StudyRun
from search.engine.trial_factory import PlannedTrial
from search.ledger.ledger import Ledger
from search.phases import sealed
from search.phases.sealed import FILE, _scored, earlier_openings, note_opening, open_sealed
from search.study.run_dir import RunDir
from search.study.sections.execution import ExecutionSection
from search.vocabulary import Stage
from tests.makers.s3_server import S3Server
from tests.makers.study_fixture import evaluations_of, make_factory, open_study, plan_trial, trial_result, write_store
from trainers.executors.resources import TrialResources
from trainers.rows.stored_rows import StoredRows
from trainers.trial.result import TrialResult
from trainers.trial.spec import TrialSpec


class NoEngine:
    """Everything has been scored: nothing may be run."""

    def run(self, source: Any) -> None:
        raise AssertionError("a trial was run")

    def hand_over(self) -> None: ...

    def close(self) -> None:
        raise AssertionError("the engine was touched")

    def wait_ended(self) -> None:
        return


def open_run(folder: Path, run_dir: Path, said: list[str]) -> StudyRun:
    study = open_study(folder)
    ledger = Ledger.open(run_dir / "ledger", writer=True)
    return StudyRun(
        study=study,
        run_dir=RunDir(run_dir),
        store=write_store(study),
        backbone=study.spec.backbone,
        factory=make_factory(folder),
        ledger=ledger,
        recorder=Recorder(RunDir(run_dir), ledger, lambda record: None),
        needed_rows={},
        resources=TrialResources(),
        say=said.append,
        on_running=lambda num_trials: None,
        engine=NoEngine(),
    )


def finish(run: StudyRun, composition: dict[str, int]) -> PlannedTrial:
    """A finalist that is scored on `confirm` and on `sealed` already, so that opening needs no cluster."""
    planned = plan_trial(run.factory, composition, stage=Stage.confirm, arm="finalist-1", splits=("confirm",), seed=101)
    run.recorder.record(planned, trial_result(planned))
    sealed = plan_trial(run.factory, composition, stage=Stage.sealed, arm="finalist-1", splits=("sealed",), seed=101)
    result = trial_result(sealed)
    run.recorder.record(sealed, result.model_copy(update={"evaluations": evaluations_of(sealed, 0.5)}))
    return planned


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_second_selection_finds_sealed_closed(tmp_path: Path, said: list[str]) -> None:
    run = open_run(tmp_path, tmp_path / "run", said)
    first, second = finish(run, {"ct-lung": 8}), finish(run, {"ct-brain": 8})
    assert open_sealed(run, {"finalist-1": [first]})
    assert open_sealed(run, {"finalist-1": [first]})  # a resumed study asks for the same again
    assert not open_sealed(run, {"finalist-1": [second]})
    assert "sealed was opened before for another selection" in said[-1]
    openings = [record for record in run.ledger.records() if record["kind"] == "sealed_opened"]
    assert len(openings) == 1
    assert openings[0]["train_ids"] == [first.spec.train_id]


def test_another_study_on_the_same_questions_is_told(tmp_path: Path, said: list[str]) -> None:
    run = open_run(tmp_path, tmp_path / "one", said)
    open_sealed(run, {"finalist-1": [finish(run, {"ct-lung": 8})]})
    assert not any("opened before" in line for line in said)
    other = open_run(tmp_path, tmp_path / "two", said)
    assert open_sealed(other, {"finalist-1": [finish(other, {"ct-lung": 8})]})
    assert any("opened before by 1 other studies (tiny)" in line for line in said)
    assert next(r for r in other.ledger.records() if r["kind"] == "sealed_opened")["earlier"] == 1


def test_only_the_same_questions_of_other_studies_count(tmp_path: Path) -> None:
    note_opening(tmp_path, {"a": "1", "b": "2"}, "me", "mine")
    assert earlier_openings(tmp_path, {"a": "1"}, "me") == []
    assert [o["name"] for o in earlier_openings(tmp_path, {"b": "2"}, "you")] == ["mine"]
    assert earlier_openings(tmp_path, {"a": "changed"}, "you") == []
    with (tmp_path / FILE).open("a") as file:
        file.write('{"study": "half')
    assert len(earlier_openings(tmp_path, {"a": "1"}, "you")) == 1
    assert not note_opening(tmp_path / "missing", {"a": "1"}, "me", "mine")


def test_openings_are_noted_in_a_bucket_too(s3_anew: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    root = S3Place(s3_anew.bucket, uuid.uuid4().hex)
    assert earlier_openings(root, {"a": "1"}, "you") == []
    assert note_opening(root, {"a": "1"}, "me", "mine")
    assert note_opening(root, {"a": "1"}, "other", "theirs")
    assert [o["name"] for o in earlier_openings(root, {"a": "1"}, "you")] == ["mine", "theirs"]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    forget_sessions()
    assert not note_opening(root, {"a": "1"}, "you", "yours")


class ClosedEngine(NoEngine):
    """Scoring may have the processors."""

    def close(self) -> None:
        return


def test_what_could_not_be_scored_is_scored_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    run = replace(open_run(tmp_path, tmp_path / "run", said), engine=ClosedEngine())
    arms = {
        f"finalist-{seed}": [plan_trial(run.factory, {"ct-lung": 8}, stage=Stage.confirm, arm="f", seed=seed)]
        for seed in (101, 102)
    }
    for arm, (planned,) in arms.items():
        run.recorder.record(replace(planned, arm=arm), trial_result(planned))
    asked: list[int] = []

    def scored(run: StudyRun, specs: Sequence[TrialSpec], rows: Any) -> list[TrialResult]:
        is_tight = not asked
        asked.append(len(specs))
        planned = [PlannedTrial(spec=spec, stage=Stage.sealed, arm="f") for spec in specs]
        return [trial_result(p, status="oom" if is_tight and p.spec.seed == 102 else "finished") for p in planned]

    monkeypatch.setattr(sealed, "_scored", scored)
    with pytest.raises(UserError, match=r"^sealed: 1 of 2 trials could not be scored; finalist-102 with seed 102: oom"):
        open_sealed(run, arms)
    assert [r["arm"] for r in run.records(Stage.sealed)] == ["finalist-101"]
    assert open_sealed(run, arms)
    assert [(r["arm"], r["status"]) for r in run.records(Stage.sealed)] == [
        ("finalist-101", "finished"), ("finalist-102", "finished")
    ]  # fmt: skip
    assert asked == [2, 1]
    assert len(run.ledger.records("sealed_opened")) == 1


def test_it_is_scored_on_what_the_slots_occupy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    from cluster.nodes import room
    from trainers.executors import rescore

    asked: list[TrialResources] = []

    def rescore_trials(specs: Any, rows: Any, run_dir: Path, slots: Sequence[TrialResources]) -> list[Any]:
        asked.extend(slots)
        return []

    monkeypatch.setattr(rescore, "rescore_trials", rescore_trials)
    monkeypatch.setattr(room, "require_room", lambda wanted, num_wanted: f"{num_wanted} of {wanted['CPU']:g} wait")
    run = open_run(tmp_path, tmp_path / "run", said)
    kinds = ExecutionSection.model_validate({"slots": [{"count": 3}, {"cpus": 2}, {"cpus": 8}]})
    study = replace(run.study, spec=run.spec.model_copy(update={"execution": kinds}))
    specs = [plan_trial(run.factory, {"ct-lung": 8}, seed=seed).spec for seed in range(4)]
    assert _scored(replace(run, study=study), specs, StoredRows(store=run.store)) == []
    assert [slot.cpus_per_worker for slot in asked] == [1.0, 1.0, 1.0, 2.0]
    assert said == ["3 of 1 wait", "1 of 2 wait"]
