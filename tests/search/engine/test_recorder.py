"""Finished trials are recorded once, adopted when nobody did, and never run again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial, TrialFactory
from search.ledger.ledger import DuplicateTrialError, Ledger
from search.ledger.records import trials_of, tries_of
from search.study.run_dir import RunDir
from search.vocabulary import Stage
from tests.makers.study_fixture import finish_trial, make_factory, plan_trial, trial_result
from trainers.trial.result import Span

COMPOSITION = {"ct-lung": 4, "mr-brain": 4}


class Desk:
    """A study directory with a ledger and whoever listens to it."""

    def __init__(self, root: Path) -> None:
        self.run_dir = root / "run"
        self.factory: TrialFactory = make_factory(root)
        self.ledger = Ledger.open(self.run_dir / "ledger", writer=True)
        self.heard: list[Any] = []
        self.recorder = Recorder(RunDir(self.run_dir), self.ledger, self.heard.append)

    def start_again(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.run_dir / "ledger", writer=True)
        self.recorder = Recorder(RunDir(self.run_dir), self.ledger, self.heard.append)

    @property
    def trials(self) -> tuple[dict[str, Any], ...]:
        return self.ledger.records("trial")

    def plan(self, **place: Any) -> PlannedTrial:
        return plan_trial(self.factory, COMPOSITION, **place)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.ledger.close()


def test_a_trial_without_folder_and_record_must_run(desk: Desk) -> None:
    assert not desk.recorder.is_done(desk.plan())
    assert desk.trials == ()


def test_a_record_says_everything_that_was_asked_for(desk: Desk) -> None:
    planned = desk.plan(strategy="random", reason="drawn", searched={"learning_rate": 0.1})
    desk.recorder.record(planned, trial_result(planned, accuracy=0.75))
    (record,) = desk.trials
    assert desk.heard == [{k: v for k, v in record.items() if k != "seq"}]
    wanted = {
        "kind": "trial", "train_id": planned.spec.train_id, "stage": "search", "arm": "proposal-0",
        "strategy": "random", "proposal_index": 0, "reason": "drawn", "searched": {"learning_rate": 0.1},
        "composition": COMPOSITION, "seed": 0, "status": "finished", "rung": None, "num_train_samples": 8,
        "num_steps": 4, "train_s": 2.0, "startup_s": 1.0, "trial_dir": f"trials/{planned.spec.folder_name}",
        "error": None, "reused": False,
    }  # fmt: skip
    assert {name: record[name] for name in wanted} == wanted
    assert [(e["eval_set"], e["accuracy"]) for e in record["evaluations"]] == [("mr-lung", 0.75)]


def test_who_listens_hears_of_durable_records_only(desk: Desk) -> None:
    seen: list[int] = []
    recorder = Recorder(RunDir(desk.run_dir), desk.ledger, lambda record: seen.append(_count_on_disk(desk)))
    planned = desk.plan()
    recorder.record(planned, trial_result(planned))
    assert seen == [1]


def _count_on_disk(desk: Desk) -> int:
    with Ledger.open(desk.run_dir / "ledger", writer=False) as reader:
        return len(reader.records("trial"))


def test_a_finished_trial_that_nobody_recorded_is_adopted(desk: Desk) -> None:
    planned = desk.plan()
    finish_trial(desk.run_dir, planned, accuracy=0.25)
    assert desk.recorder.is_done(planned)
    (record,) = desk.trials
    assert not record["reused"]  # it was trained here: budgets and costs count it
    assert record["evaluations"][0]["accuracy"] == 0.25
    assert desk.recorder.is_done(planned)
    assert len(desk.trials) == len(desk.heard) == 1


@pytest.mark.parametrize("status", ["finished", "failed", "oom", "timeout", "diverged"])
def test_a_recorded_trial_is_never_run_again(desk: Desk, status: Any) -> None:
    """Nor when the study is started again: it was trained, and learned nothing, or did not fit."""
    planned = desk.plan()
    desk.recorder.record(planned, trial_result(planned, status=status))
    assert desk.recorder.is_done(planned)
    desk.start_again()
    assert desk.recorder.is_done(planned)
    assert len(desk.trials) == 1


BASELINE = {"stage": Stage.baseline, "arm": "baseline", "proposal_index": None}
FINALIST = {"stage": Stage.confirm, "arm": "finalist-1", "proposal_index": None}


@pytest.mark.parametrize("place", [BASELINE, FINALIST])
@pytest.mark.parametrize("status", ["failed", "oom", "timeout"])
def test_what_a_study_rests_on_is_tried_again_once_a_start(desk: Desk, place: Any, status: Any) -> None:
    """Another's process filled the card: the study could never go on, whatever its user mended."""
    planned = desk.plan(**place)
    for num_tries in (1, 2):
        assert not desk.recorder.is_done(planned)
        desk.recorder.record(planned, trial_result(planned, status=status))
        assert desk.recorder.is_done(planned), "again in the same start"
        assert desk.trials[-1]["tries"] == num_tries
        desk.start_again()
    assert not desk.recorder.is_done(planned)
    desk.recorder.record(planned, trial_result(planned))
    desk.start_again()
    assert desk.recorder.is_done(planned)
    assert [record["status"] for record in trials_of(desk.ledger.records())] == ["finished"]
    assert len(tries_of(desk.ledger.records())) == 3


def test_a_diverged_finalist_is_not_tried_again(desk: Desk) -> None:
    planned = desk.plan(**FINALIST)
    desk.recorder.record(planned, trial_result(planned, status="diverged"))
    desk.start_again()
    assert desk.recorder.is_done(planned)


def test_a_proposal_that_made_no_step_is_tried_again_until_the_best_are_confirmed(desk: Desk) -> None:
    planned = desk.plan()
    desk.recorder.record_death(planned, "its rows could not be read")
    desk.start_again()
    assert not desk.recorder.is_done(planned)
    desk.ledger.append({"kind": "confirm_started", "num_trials": 1})
    desk.start_again()
    assert desk.recorder.is_done(planned)


def test_a_study_that_has_ended_tries_nothing_again(desk: Desk) -> None:
    planned, other = desk.plan(**FINALIST), desk.plan(**FINALIST | {"arm": "finalist-2"})
    desk.recorder.record(planned, trial_result(planned, status="oom"))
    desk.recorder.record(other, trial_result(other))
    desk.ledger.append({"kind": "ended"})
    desk.start_again()
    assert desk.recorder.is_done(planned)


def test_a_confirmation_of_which_nothing_came_is_tried_again_after_the_end(desk: Desk) -> None:
    planned, single = desk.plan(**FINALIST), desk.plan()
    desk.recorder.record(planned, trial_result(planned, status="oom"))
    desk.recorder.record_death(single, "its rows could not be read")
    desk.ledger.append({"kind": "ended"})
    desk.start_again()
    assert not desk.recorder.is_done(planned)
    assert desk.recorder.is_done(single)
    desk.recorder.record(planned, trial_result(planned, status="oom"))
    assert desk.recorder.is_done(planned), "again in the same start"


def test_nothing_is_tried_again_once_sealed_is_opened(desk: Desk) -> None:
    """Another seed of an arm would be another selection than `sealed` was opened for: it would stay closed."""
    planned = desk.plan(**FINALIST)
    desk.recorder.record(planned, trial_result(planned, status="oom"))
    desk.ledger.append({"kind": "sealed_opened", "train_ids": []})
    desk.start_again()
    assert desk.recorder.is_done(planned)


def test_a_second_arm_of_the_same_training_is_recorded_without_a_run(desk: Desk) -> None:
    planned = desk.plan()
    finish_trial(desk.run_dir, planned)
    desk.recorder.record(planned, trial_result(planned))
    other = desk.plan(stage=Stage.control, arm="control:mr-lung", proposal_index=None)
    assert desk.recorder.is_done(other)
    assert [(r["arm"], r["reused"]) for r in desk.trials] == [("proposal-0", False), ("control:mr-lung", True)]


def test_what_another_study_trained_is_taken_over(desk: Desk) -> None:
    planned = desk.plan(stage=Stage.reused, arm="reused", proposal_index=None)
    finish_trial(desk.run_dir, planned)
    assert desk.recorder.is_done(planned)
    assert desk.recorder.is_done(desk.plan())
    assert [(r["arm"], r["reused"]) for r in desk.trials] == [("reused", True), ("proposal-0", True)]


def test_a_failure_on_record_does_not_make_a_later_training_another_studys(desk: Desk) -> None:
    planned = desk.plan()
    desk.recorder.record_death(planned, "its process died (3 tries)")
    span = Span(phase="train", started_at=1.0, duration_s=7200.0)
    result = trial_result(planned).model_copy(update={"spans": (span,)})
    folder = desk.run_dir / "trials" / planned.spec.folder_name
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(result.model_dump_json())
    assert desk.recorder.is_done(desk.plan(stage=Stage.control, arm="control:mr-lung", proposal_index=None))
    assert [(r["arm"], r["reused"]) for r in desk.trials] == [("proposal-0", False), ("control:mr-lung", False)]


def test_another_proposal_of_the_same_training_is_its_own_record(desk: Desk) -> None:
    planned = desk.plan()
    finish_trial(desk.run_dir, planned)
    assert desk.recorder.is_done(planned)
    assert desk.recorder.is_done(replace(planned, arm="proposal-1", proposal_index=1))
    assert [r["proposal_index"] for r in desk.trials] == [0, 1]


def test_weights_that_lack_a_score_are_not_taken_for_done(desk: Desk) -> None:
    finish_trial(desk.run_dir, desk.plan())
    more = desk.plan(splits=("search", "confirm"))
    assert more.spec.train_id == desk.plan().spec.train_id
    assert not desk.recorder.is_done(more)
    assert desk.recorder.stored_result(more) is None
    assert desk.trials == ()


def test_only_the_scores_that_were_asked_for_are_recorded(desk: Desk) -> None:
    finish_trial(desk.run_dir, desk.plan(splits=("search", "confirm")))
    assert desk.recorder.is_done(desk.plan(splits=("confirm",), stage=Stage.confirm, arm="finalist-1"))
    assert [e["split"] for e in desk.trials[0]["evaluations"]] == ["confirm"]


def test_a_stored_failure_runs_again(desk: Desk) -> None:
    planned = desk.plan()
    finish_trial(desk.run_dir, planned, status="oom")
    assert not desk.recorder.is_done(planned)
    stored = desk.recorder.stored_result(planned)
    assert stored is not None
    assert stored.status == "oom"


def _other_weights(folder: Path) -> None:
    path = folder / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def _no_weights(folder: Path) -> None:
    (folder / "adapter" / "adapter_model.safetensors").unlink()


def _cut_result(folder: Path) -> None:
    path = folder / "trial.json"
    path.write_bytes(path.read_bytes()[:-40])


def _of_another_training(folder: Path) -> None:
    path = folder / "trial.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"train_id": "another"}))


@pytest.mark.parametrize("damage", [_other_weights, _no_weights, _cut_result, _of_another_training])
def test_a_damaged_folder_is_not_adopted(desk: Desk, damage: Any) -> None:
    planned = desk.plan()
    damage(finish_trial(desk.run_dir, planned))
    assert not desk.recorder.is_done(planned)
    assert desk.recorder.stored_result(planned) is None
    assert desk.trials == ()


def test_a_death_is_recorded_with_its_reason(desk: Desk) -> None:
    planned = desk.plan()
    desk.recorder.record_death(planned, "its worker processes died without a result")
    (record,) = desk.trials
    assert (record["status"], record["evaluations"], record["num_train_samples"]) == ("failed", [], 8)
    assert "died" in record["error"]
    assert desk.recorder.is_done(planned)


def test_the_ledger_refuses_what_the_recorder_would_repeat(desk: Desk) -> None:
    planned = desk.plan()
    desk.recorder.record(planned, trial_result(planned))
    with pytest.raises(DuplicateTrialError):
        desk.recorder.record(planned, trial_result(planned))
    assert len(desk.heard) == 1
