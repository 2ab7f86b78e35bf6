"""Logs the trials of a study to MLflow, from its ledger: the study never waits for it, and goes on without it.

What is logged are figures and settings that stand in `trials.parquet` as well: no question, answer, path or error text.
MLflow's own messages are not shown: they quote the tracking URI, which may hold a password.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from datasets_spec.canonical import content_hash
from search.ledger.records import Kind, Record, of_kind, trials_of
from search.study.score import score_of
from search.study.spec import StudySpec
from search.vocabulary import Status

Say = Callable[[str], None]

EXPERIMENT = "recombine"  # unless MLFLOW_EXPERIMENT_NAME says otherwise
STUDY_TAG, TRIAL_TAG, PARENT_TAG = "recombine.study_id", "recombine.trial", "mlflow.parentRunId"
ENDINGS = {Status.finished: "FINISHED", Status.stopped_early: "KILLED"}  # all others: FAILED
OWN_RUN = ""  # the study's own run, which is no trial's
PAGE = 1000  # runs a request
# A server that does not answer is asked again by MLflow for minutes; a study that has ended does not wait for that.
FLUSH_LIMIT_S = 30.0
STOP_LIMIT_S = 1.0  # who stops a study waits for its trials, not for this


@contextmanager
def tracked(spec: StudySpec, say: Say) -> Iterator[Tracker | None]:
    """A tracker for as long as a study runs; None where its file asks for none.

    Args:
        spec: the study.
        say: tells the user one line.
    """
    if spec.tracking is None:
        yield None
        return
    tracker = Tracker(spec, say)
    try:
        yield tracker
    except KeyboardInterrupt:
        tracker.break_off("KILLED")
        raise
    except BaseException:
        tracker.break_off("FAILED")
        raise
    tracker.close()


class Tracker:
    """Hands trial records to MLflow in a thread of its own.

    Args:
        spec: the study.
        say: tells the user one line: the first failure, after which this run logs nothing more. Called by whoever hands
            over records or closes, never by the thread.
    """

    def __init__(self, spec: StudySpec, say: Say) -> None:
        self._spec = spec
        self._say = say
        self._waiting: queue.SimpleQueue[Record | str] = queue.SimpleQueue()  # a str: how the study ends
        self._untold: deque[str] = deque()  # lines of the thread
        self._thread: threading.Thread | None = None

    def begin(self, records: Sequence[Record]) -> None:
        """Log what the ledger holds and MLflow lacks; later trials are heard by `beside`.

        Args:
            records: the ledger's.
        """
        study_id = content_hash([self._spec.name, of_kind(records, Kind.writer)[0]["opened_at"]])
        for record in trials_of(records):
            self._waiting.put(record)
        self._thread = threading.Thread(target=self._work, args=(study_id,), name="mlflow", daemon=True)
        self._thread.start()

    def beside(self, on_record: Callable[[Record], None]) -> Callable[[Record], None]:
        """A listener that also logs every record; it returns at once."""

        def heard(record: Record) -> None:
            on_record(record)
            self._waiting.put(record)
            self._tell()

        return heard

    def close(self, limit_s: float = FLUSH_LIMIT_S) -> None:
        """Wait for what is still to be logged, but not for ever.

        Args:
            limit_s: the longest wait; what is left is logged when the study is run again.
        """
        if self._thread is None:
            return
        self._waiting.put("FINISHED")
        self._thread.join(limit_s)
        if self._thread.is_alive():
            self._say(f"MLflow has not taken everything within {limit_s:.0f} s; `recombine run STUDY` logs the rest")
        self._tell()

    def break_off(self, status: str) -> None:
        """End the study's run in MLflow at once; trials that wait are logged when the study is run again.

        Args:
            status: `KILLED` or `FAILED`.
        """
        if self._thread is None:
            return
        while not self._waiting.empty():  # the thread may take the last one meanwhile
            with suppress(queue.Empty):
                self._waiting.get_nowait()
        self._waiting.put(status)
        self._thread.join(STOP_LIMIT_S)
        self._tell()

    def _tell(self) -> None:
        with suppress(IndexError):  # records come from another thread than the end
            while True:
                self._say(self._untold.popleft())

    def _work(self, study_id: str) -> None:
        try:
            runs = _StudyRuns(self._spec, study_id)
            while not isinstance(item := self._waiting.get(), str):
                runs.log(item)
            runs.end(item)
        except ImportError:
            self._untold.append(
                "tracking: mlflow is not installed here, nothing is logged (pip install 'recombine[mlflow]')"
            )
        except Exception as error:  # noqa: BLE001 - whatever a store or server raises, the study goes on
            self._untold.append(
                f"MLflow failed and is not asked again in this run ({_kind(error)}); "
                "`recombine run STUDY` logs what is missing"
            )


class _StudyRuns:
    """The runs of one study in MLflow: one for the study, one below it for each trial."""

    def __init__(self, spec: StudySpec, study_id: str) -> None:
        from mlflow.environment_variables import MLFLOW_EXPERIMENT_NAME
        from mlflow.tracking import MlflowClient

        self._spec, self._study_id = spec, study_id
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it prints the URI with each run that ends
        self._client = MlflowClient()
        name = MLFLOW_EXPERIMENT_NAME.get() or EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        self._experiment = found.experiment_id if found is not None else self._client.create_experiment(name)
        known = {run.data.tags.get(TRIAL_TAG, OWN_RUN): run.info for run in self._read()}
        self._ended = {trial for trial, info in known.items() if info.end_time is not None}
        self._begun = {trial: info.run_id for trial, info in known.items()}
        self._parent = self._begun.get(OWN_RUN) or self._create(spec.name, {})
        if OWN_RUN in self._ended:
            self._client.update_run(self._parent, status="RUNNING")
        told = {"targets": ",".join(spec.eval_sets), "strategy": spec.strategy.name, "seed": spec.seed}
        self._log_batch(self._parent, params=told)

    def log(self, record: Record) -> None:
        """Log a trial, unless it is there already; one that was begun and not ended is completed."""
        again = [record["tries"]] if record.get("tries", 1) > 1 else []
        trial = content_hash([record["train_id"], record["stage"], record["arm"], record["proposal_index"], *again])
        if trial in self._ended:
            return
        tags = {
            TRIAL_TAG: trial, PARENT_TAG: self._parent, "recombine.phase": record["stage"],
            "recombine.arm": record["arm"], "recombine.train_id": record["train_id"],
            "recombine.status": record["status"],
        }  # fmt: skip
        started_s = record.get("started_at")
        run_id = self._begun.get(trial) or self._create(f"{record['arm']} s{record['seed']}", tags, started_s)
        ended_ms = round(1000 * datetime.fromisoformat(record["finished_at"]).timestamp())
        figures = {name: (value, ended_ms) for name, value in _figures(record, self._spec).items()}
        self._log_batch(run_id, params=_settings(record), metrics=figures)
        status = ENDINGS.get(Status(record["status"]), "FAILED")
        self._client.set_terminated(run_id, status=status, end_time=ended_ms)
        self._ended.add(trial)

    def end(self, status: str) -> None:
        """The study's own run has ended, too, in one of MLflow's ways."""
        self._client.set_terminated(self._parent, status=status)

    def _read(self) -> Iterator[Any]:
        token = None
        while True:
            wanted = f"tags.`{STUDY_TAG}` = '{self._study_id}'"
            page = self._client.search_runs([self._experiment], wanted, max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _create(self, name: str, tags: Mapping[str, str], started_s: float | None = None) -> str:
        started_ms = None if started_s is None else round(1000 * started_s)
        own = {STUDY_TAG: self._study_id, "recombine.study": self._spec.name, **tags}
        run = self._client.create_run(self._experiment, start_time=started_ms, tags=own, run_name=name)
        return str(run.info.run_id)

    def _log_batch(
        self, run_id: str, *, params: Mapping[str, Any], metrics: Mapping[str, tuple[float, int]] | None = None
    ) -> None:
        """Log settings, and figures with their times in ms."""
        from mlflow.entities import Metric, Param

        figures = [Metric(name, value, time_ms, 0) for name, (value, time_ms) in (metrics or {}).items()]
        settings = [Param(name, str(value)) for name, value in params.items()]
        self._client.log_batch(run_id, metrics=figures, params=settings)


def _settings(record: Record) -> dict[str, Any]:
    """Composition, recipe and seed."""
    parts = sorted((record.get("composition") or {}).items())
    recipe = {f"recipe.{name}": value for name, value in sorted((record.get("recipe") or {}).items())}
    return {"composition": " + ".join(f"{name}:{size}" for name, size in parts), "seed": record["seed"], **recipe}


def _figures(record: Record, spec: StudySpec) -> dict[str, float]:
    """The score on every evaluation set, by split, and seconds."""
    scores = {f"{e['split']}/{e['eval_set']}": score_of(e, spec.score) for e in record.get("evaluations") or ()}
    seconds = {f"seconds/{phase}": float(s) for phase, s in (record.get("seconds") or {}).items()}
    return {**scores, "seconds/train": float(record["train_s"]), **seconds}


def _kind(error: Exception) -> str:
    """What kind of error it is, with MLflow's own code for it."""
    code = getattr(error, "error_code", None)
    return type(error).__name__ + (f": {code}" if isinstance(code, str) else "")
