"""A nested trial whose worker comes to a node with other versions: nothing is trained, and nothing of it has failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle
from ray.train.v2.api.exceptions import WorkerGroupError

from tests.makers.table_rows import TableRows
from tests.trainers.executors.test_one_trial import make_spec
from trainers.executors.nested import run_nested_trial, train_worker
from trainers.executors.resources import TrialResources
from trainers.executors.run_errors import OtherNodeError
from trainers.trial.folder import TRIALS_DIR, attempt_name, begin_attempt, commit_attempt
from trainers.trial.result import TrialResult, failed_result

WORDS = "Versions differ: Recombine 0.2.0 on node b, 0.1.0 in the driver."
SPEC = make_spec()


def run(run_dir: Path, monkeypatch: pytest.MonkeyPatch, fit: Callable[[Any], object]) -> TrialResult:
    """Run a trial whose Train run is `fit`, which gets what a worker is given."""

    class Trainer:
        def __init__(self, given: Any, *_: Any, **__: Any) -> None:
            self._given = given

        def fit(self) -> None:
            fit(self._given)

    monkeypatch.setattr("trainers.executors.nested._trainer", Trainer)
    return run_nested_trial(
        SPEC, TableRows(tables={}), run_dir, TrialResources(num_workers=0), submitted_at=0.0,
        other_versions=lambda: WORDS,
    )  # fmt: skip


def test_a_worker_refuses_before_it_reads_or_writes_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OtherNodeError, match="on node b"):
        run(tmp_path, monkeypatch, train_worker)
    assert not list(tmp_path.rglob("*"))


def from_workers(given: Any) -> None:
    """End as Train does, whose error has come from other processes."""
    try:
        train_worker(given)
    except OtherNodeError as error:
        died = WorkerGroupError("", {0: RuntimeError("gloo"), 1: error})
    raise cloudpickle.loads(cloudpickle.dumps(died))


def test_what_a_worker_said_reaches_the_trial_which_leaves_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OtherNodeError) as caught:
        run(tmp_path, monkeypatch, from_workers)
    assert str(caught.value) == WORDS
    assert not (tmp_path / TRIALS_DIR).exists()


def test_a_failure_of_the_trials_own_counts_where_its_next_try_came_to_another_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(given: Any) -> None:
        final = tmp_path / TRIALS_DIR / SPEC.folder_name
        attempt = begin_attempt(final.parent, SPEC.folder_name, attempt_name())
        commit_attempt(attempt, final, failed_result(SPEC, "its own"))
        from_workers(given)

    assert run(tmp_path, monkeypatch, fit).error == "its own"
