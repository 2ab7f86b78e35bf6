"""Trials in MLflow's own file store; `make test-mlflow` runs what needs MLflow, which no other test installs."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from search.phases import mlflow_tracking
from search.phases.mlflow_tracking import STUDY_TAG, TRIAL_TAG, Tracker, tracked
from search.study.run_dir import RunDir, RunFile
from search.study.spec import StudySpec
from search.study.study import Study
from tests.makers.finished_run import finished_study
from tests.studies.tiny_study import finished_trials, recombine, write_study

SPEC = {"tracking": "mlflow"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, RunDir]:
    return finished_study(tmp_path_factory.mktemp("tracked") / "patient-4711", SPEC)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow's client of a file store; without MLflow the test is skipped."""
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return MlflowClient()


def track(spec: StudySpec, records: Any) -> list[str]:
    """What one run of a study does; returns what the user is told."""
    told: list[str] = []
    with tracked(spec, told.append) as tracker:
        assert tracker is not None
        tracker.begin(records)
    return told


def runs_of(client: Any) -> list[Any]:
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=500))


def test_settings_figures_and_tags_of_every_trial_are_logged_below_the_study(
    client: Any, finished: tuple[Study, RunDir]
) -> None:
    study, run_dir = finished
    assert track(study.spec, run_dir.read_records()) == []
    (parent,) = (run for run in runs_of(client) if TRIAL_TAG not in run.data.tags)
    children = [run for run in runs_of(client) if TRIAL_TAG in run.data.tags]
    frame = pd.read_parquet(run_dir / RunFile.trials_table)
    assert len(children) == len(run_dir.read_trials())
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    assert parent.info.run_name == study.spec.name
    for run in children:
        tags = run.data.tags
        rows = frame[(frame["train_id"] == tags["recombine.train_id"]) & (frame["arm"] == tags["recombine.arm"])]
        assert set(rows["stage"]) >= {tags["recombine.phase"]}
        assert run.data.params["seed"] == str(rows["seed"].iloc[0])
        assert run.data.params["recipe.num_steps"] == "4"
        for row in rows[rows["stage"] == tags["recombine.phase"]].itertuples():
            assert run.data.metrics[f"{row.split}/{row.eval_set}"] == pytest.approx(row.score)
        assert run.data.metrics["seconds/train"] == 2.0


def test_a_resumed_study_repeats_no_run(client: Any, finished: tuple[Study, RunDir]) -> None:
    study, run_dir = finished
    records = run_dir.read_records()
    cut = next(place for place, record in enumerate(records) if record["kind"] == "sealed_opened")
    track(study.spec, records[:cut])
    before = {run.info.run_id for run in runs_of(client)}
    track(study.spec, records)
    track(study.spec, records)
    after = runs_of(client)
    assert before < {run.info.run_id for run in after}
    trials = [run.data.tags.get(TRIAL_TAG) for run in after]
    assert len(trials) == len(set(trials)) == len(run_dir.read_trials()) + 1
    assert len({run.data.tags[STUDY_TAG] for run in after}) == 1


def test_a_trial_whose_process_died_while_it_was_logged_is_completed(
    client: Any, finished: tuple[Study, RunDir]
) -> None:
    study, run_dir = finished
    records = run_dir.read_records()
    track(study.spec, records)
    victim = next(run for run in runs_of(client) if run.data.tags.get("recombine.arm") == "finalist-1")
    client.update_run(victim.info.run_id, status="RUNNING")
    folder = Path(victim.info.artifact_uri.removeprefix("file://")).parent
    meta = folder / "meta.yaml"
    meta.write_text(
        "\n".join("end_time: null" if "end_time" in line else line for line in meta.read_text().splitlines())
    )
    number = len(runs_of(client))
    track(study.spec, records)
    assert client.get_run(victim.info.run_id).info.status == "FINISHED"
    assert len(runs_of(client)) == number


def test_neither_text_nor_path_nor_error_reaches_the_store(
    client: Any, tmp_path: Path, finished: tuple[Study, RunDir]
) -> None:
    study, run_dir = finished
    trials = [dict(r) | {"error": "ValueError: /data/patient-4711/scan.png"} for r in run_dir.read_records()]
    track(study.spec, trials)
    files = [path for path in (tmp_path / "mlruns").rglob("*") if path.is_file()]
    content = " ".join(path.read_text(errors="replace") for path in files if path.name != "meta.yaml")
    assert "finalist-1" in content
    for word in ("4711", "which ?", "scan.png", str(run_dir.root)):
        assert word not in content


def test_a_store_that_fails_is_told_once_and_ends_no_study(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: tuple[Study, RunDir]
) -> None:
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "a-file" / "mlruns").as_uri())
    study, run_dir = finished
    told = track(study.spec, run_dir.read_records())
    assert len(told) == 1
    assert told[0].startswith("MLflow failed and is not asked again in this run")


def test_what_mlflow_says_of_its_address_is_not_shown(
    client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], finished: tuple[Study, RunDir]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://alice:s3cret@127.0.0.1:9/")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "false")
    study, run_dir = finished
    (told,) = track(study.spec, run_dir.read_records())
    assert "(MlflowException: " in told
    assert "s3cret" not in told + "".join(capsys.readouterr())
    from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT

    assert MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.get(), "it prints its address whenever a run ends"


class Refusing:
    """Stands for the runs of a study in a store whose words hold its address."""

    def __init__(self, spec: StudySpec, study_id: str) -> None:
        raise OSError("http://alice:s3cret@host refused")


class Ends:
    """Stands for the runs of a study, and keeps how they ended."""

    seen: ClassVar[list[str]] = []

    def __init__(self, spec: StudySpec, study_id: str) -> None:
        self.seen.clear()

    def log(self, record: Any) -> None:
        """Nothing."""

    def end(self, status: str) -> None:
        self.seen.append(status)


def test_a_failure_is_told_by_its_kind_and_not_from_the_thread(
    monkeypatch: pytest.MonkeyPatch, finished: tuple[Study, RunDir]
) -> None:
    monkeypatch.setattr(mlflow_tracking, "_StudyRuns", Refusing)
    study, run_dir = finished
    told: list[tuple[str, threading.Thread]] = []
    tracker = Tracker(study.spec, lambda line: told.append((line, threading.current_thread())))
    tracker.begin(run_dir.read_records())
    tracker.close()
    ((line, teller),) = told
    assert "(OSError)" in line
    assert teller is threading.current_thread()


@pytest.mark.parametrize(
    ("error", "status"), [(None, "FINISHED"), (RuntimeError(), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_the_studys_run_ends_as_the_study_does(
    error: BaseException | None, status: str, monkeypatch: pytest.MonkeyPatch, finished: tuple[Study, RunDir]
) -> None:
    monkeypatch.setattr(mlflow_tracking, "_StudyRuns", Ends)
    study, run_dir = finished
    with suppress(RuntimeError, KeyboardInterrupt), tracked(study.spec, print) as tracker:
        assert tracker is not None
        tracker.begin(run_dir.read_records())
        if error is not None:
            raise error
    tracker._thread.join(60)  # type: ignore[union-attr]
    assert Ends.seen == [status]


def test_mlflow_keeps_that_a_study_failed_until_it_goes_on(client: Any, finished: tuple[Study, RunDir]) -> None:
    study, run_dir = finished

    def status() -> str:
        return str(next(run.info.status for run in runs_of(client) if TRIAL_TAG not in run.data.tags))

    track(study.spec, run_dir.read_records())  # all is logged: the next run has little to do
    with suppress(RuntimeError), tracked(study.spec, print) as tracker:
        assert tracker is not None
        tracker.begin(run_dir.read_records())
        raise RuntimeError
    tracker._thread.join(60)  # type: ignore[union-attr]
    assert status() == "FAILED"
    track(study.spec, run_dir.read_records())
    assert status() == "FINISHED"


def test_mlflow_that_is_not_there_is_told_once_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, finished: tuple[Study, RunDir]
) -> None:
    for name in ("mlflow", "mlflow.environment_variables", "mlflow.tracking"):
        monkeypatch.setitem(sys.modules, name, None)
    study, run_dir = finished
    told = track(study.spec, run_dir.read_records())
    assert told == ["tracking: mlflow is not installed here, nothing is logged (pip install 'recombine[mlflow]')"]


def test_a_study_does_not_wait_for_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, finished: tuple[Study, RunDir]
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(mlflow_tracking, "_StudyRuns", lambda spec, study_id: answer.wait(60))
    study, run_dir = finished
    told: list[str] = []
    tracker = Tracker(study.spec, told.append)
    heard: list[Any] = []
    tracker.begin(run_dir.read_records())
    tracker.beside(heard.append)({"kind": "trial"})
    assert heard == [{"kind": "trial"}]
    tracker.close(limit_s=0.05)
    answer.set()
    assert told == ["MLflow has not taken everything within 0 s; `recombine run STUDY` logs the rest"]


def test_without_tracking_mlflow_is_not_imported(finished: tuple[Study, RunDir]) -> None:
    spec = finished[0].spec.model_copy(update={"tracking": None})
    with tracked(spec, print) as tracker:
        assert tracker is None
    assert "mlflow" not in sys.modules or pytest.importorskip("mlflow")


@pytest.mark.ray
@pytest.mark.slow
def test_a_whole_study_is_logged_and_a_second_run_adds_nothing(client: Any, tmp_path: Path) -> None:
    study = write_study(tmp_path, tracking="mlflow", transfer={"enabled": False}, confirm={"enabled": False})
    for _ in range(2):
        done = recombine("run", study, "--run-dir", tmp_path / "run")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "MLflow" not in done.stdout
        trials = [run for run in runs_of(client) if TRIAL_TAG in run.data.tags]
        assert len(trials) == len(RunDir(tmp_path / "run").read_trials())
    assert len(finished_trials(tmp_path / "run")) == len(trials) > 3
