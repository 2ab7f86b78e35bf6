from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from datasets_spec.errors import UserError
from datasets_spec.prepare import prepare_store
from search.engine.study_run import StudyRun
from search.engine.trial_factory import PlannedTrial
from search.ledger.ledger import RECORDS_FILE, LedgerError
from search.phases import open_study as opening
from search.phases.open_study import open_run
from search.study.run_dir import RunDir, RunFile
from tests.makers.study_fixture import open_study, plan_trial, write_store


def test_a_damaged_ledger_is_gone_on_with_where_the_loss_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(tmp_path)
    prepared = SimpleNamespace(was_current=True, manifest=write_store(study).manifest)
    monkeypatch.setattr(prepare_store, "prepare_store", Mock(return_value=prepared))
    monkeypatch.setattr(opening, "build_engine", Mock())

    def texts(*, accept_loss: bool) -> list[str]:
        listeners = {"say": Mock(), "on_record": Mock(), "on_running": Mock()}
        with open_run(study, RunDir(tmp_path / "run"), **listeners, accept_loss=accept_loss) as run:
            run.ledger.append({"kind": "note", "text": "another"})
            return [str(record.get("text", record["kind"])) for record in run.ledger.records()]

    other = prepared.manifest.model_copy(update={"generation": "another"})
    monkeypatch.setattr(
        prepare_store, "prepare_store", Mock(return_value=SimpleNamespace(manifest=other, was_current=True))
    )
    with pytest.raises(UserError, match="prepared with other settings while this study began"):
        texts(accept_loss=False)
    monkeypatch.setattr(prepare_store, "prepare_store", Mock(return_value=prepared))

    kept = texts(accept_loss=False)
    file = tmp_path / "run" / "ledger" / RECORDS_FILE
    file.write_bytes(file.read_bytes().replace(b'"writer"', b'"wrITer"', 1))
    with pytest.raises(LedgerError, match="--accept-loss"):
        texts(accept_loss=False)
    again = texts(accept_loss=True)
    assert again == [*kept[1:], "loss_accepted", "writer", "another"]


def test_an_outage_stops_a_study_before_more_is_spent_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of days was spent within minutes; the next start tries again what failed."""
    study = open_study(tmp_path, {"execution": {"max_concurrent": 2}})
    prepared = SimpleNamespace(was_current=True, manifest=write_store(study).manifest)
    monkeypatch.setattr(prepare_store, "prepare_store", Mock(return_value=prepared))
    monkeypatch.setattr(opening, "build_engine", Mock())
    given = {"say": Mock(), "on_record": Mock(), "on_running": Mock()}

    def planned(run: StudyRun, index: int) -> PlannedTrial:
        return plan_trial(run.factory, {"ct-lung": 4}, seed=index, arm=f"proposal-{index}", proposal_index=index)

    with open_run(study, RunDir(tmp_path / "run"), **given, accept_loss=False) as run:
        for index in range(3):
            run.recorder.record_death(planned(run, index), f"no rows for trial {index}")
        with pytest.raises(UserError, match="one after another without a step") as caught:
            run.recorder.record_death(planned(run, 3), "no rows for trial 3")
    assert "no rows for trial 3" in str(caught.value)
    assert "`recombine doctor`" in str(caught.value)
    assert given["on_record"].call_count == 4
    with open_run(study, RunDir(tmp_path / "run"), **given, accept_loss=False, allow_mismatch=True) as run:
        assert run.allow_mismatch
        assert [run.recorder.is_done(planned(run, index)) for index in range(4)] == [False] * 4
    given["say"].assert_any_call("4 trials failed in an earlier run, and are tried again where they are still wanted")


def test_a_study_stands_on_the_trainer_only_where_that_has_changed(tmp_path: Path) -> None:
    spec = open_study(tmp_path).spec
    backbone = spec.backbone.resolved(gpus_per_worker=0)

    def named(*, has_words: bool = False, **update: object) -> set[str]:
        changed = spec.model_copy(update={"recipe": spec.recipe.model_copy(update=update)})
        return set(opening.study_identity(changed, backbone, store="s", weights="w", has_words=has_words))

    assert named() == {"store", "backbone"}
    assert named(lora_dropout=0.1) == named(lora_modules="language+projector") == {"store", "backbone", "trainer"}
    assert named(has_words=True) == {"store", "backbone", "scorer"}


def test_answers_in_words_are_not_compared_by_two_rules_in_one_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(tmp_path)
    prepared = SimpleNamespace(was_current=True, manifest=write_store(study, in_words=["mr-lung"]).manifest)
    monkeypatch.setattr(prepare_store, "prepare_store", Mock(return_value=prepared))
    monkeypatch.setattr(opening, "build_engine", Mock())
    run_dir = RunDir(tmp_path / "run")
    given = {"say": Mock(), "on_record": Mock(), "on_running": Mock()}
    for _ in range(2):
        with open_run(study, run_dir, **given, accept_loss=False) as run:
            assert [request.has_words for request in run.factory.baseline().spec.evaluations] == [True, True]
    path = run_dir / RunFile.study
    path.write_text(path.read_text().replace("  scorer: '2'\n", ""))  # begun by a version with one scorer
    with (
        pytest.raises(UserError, match=r'identity.scorer: was null, is "2"') as caught,
        open_run(study, run_dir, **given, accept_loss=False),
    ):
        pass
    assert "`reuse` takes over" in str(caught.value.hint)
