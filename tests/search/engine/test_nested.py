"""Nested trials under a real Ray Tune, which runs once for all phases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle

from search.engine.nested import NestedEngine, _run_one
from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial
from search.engine.trial_sources import ListSource
from search.ledger.ledger import Ledger
from search.ledger.records import Kind
from search.study.run_dir import RunDir
from tests.makers.study_fixture import finish_trial, make_factory, plan_trial
from trainers.executors.resources import TrialResources
from trainers.executors.run_errors import OtherNodeError
from trainers.trial.result import TrialResult, failed_result

pytestmark = pytest.mark.ray
MAX_FAILURES = 1


class Run:
    """In place of a fine-tune: writes down where a trial was tried, and ends it as its arm says."""

    def __init__(self, root: Path) -> None:
        self._root = root  # Tune pickles this once, before later phases are planned: they lie there
        (root / "planned").mkdir()

    def plan(self, planned: PlannedTrial) -> None:
        """Tell what a trial is."""
        (self._root / "planned" / planned.spec.train_id).write_bytes(cloudpickle.dumps(planned))

    def __call__(self, spec: Any, rows: Any, run_dir: Path, resources: TrialResources, **options: Any) -> TrialResult:
        planned = cloudpickle.loads((self._root / "planned" / spec.train_id).read_bytes())
        with (self._root / "tries").open("a") as file:
            file.write(f"{planned.arm} {os.getpid()}\n")
        if planned.arm == "dies":
            os._exit(1)
        if planned.arm == "raises":
            raise OSError("the disk is full")
        if planned.arm == "waits":
            options["on_wait"]("2 times much")
        finish_trial(run_dir, planned)
        return failed_result(spec, "").model_copy(update={"status": "finished"})

    def tries(self) -> list[tuple[str, str]]:
        return [(arm, pid) for arm, pid in (line.split() for line in (self._root / "tries").read_text().splitlines())]


class Desk:
    """An engine whose trials take no time."""

    def __init__(self, root: Path, ledger: Ledger, *, cpus: float) -> None:
        self._factory = make_factory(root / "study")
        self.ledger, self.ran, self.said = ledger, Run(root), list[str]()
        run_dir = RunDir(root / "run")
        self.engine = NestedEngine(
            Recorder(run_dir, ledger, lambda record: None),
            run_dir=run_dir,
            rows=None,  # type: ignore[arg-type]
            resources=TrialResources(num_workers=0, cpus_per_worker=cpus, max_failures=MAX_FAILURES),
            max_concurrent=2,
            on_running=lambda number: None,
            say=self.said.append,
            run_trial=self.ran,
        )

    def run(self, *arms: str, seed: int = 0) -> None:
        trials = [plan_trial(self._factory, {"ct-lung": 4}, seed=seed + i, arm=arm) for i, arm in enumerate(arms)]
        for planned in trials:
            self.ran.plan(planned)
        self.engine.run(ListSource(trials))

    def ends(self) -> dict[str, str]:
        return {record["arm"]: record["status"] for record in self.ledger.records(Kind.trial)}


@pytest.fixture
def make_desk(local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # as the command line
    desks: list[Desk] = []
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:

        def make(cpus: float) -> Desk:
            desks.append(Desk(tmp_path, ledger, cpus=cpus))
            return desks[-1]

        yield make
        for desk in desks:
            desk.engine.close()


def test_phases_share_processes_and_one_that_dies_costs_its_trial_alone(make_desk: Any) -> None:
    desk = make_desk(1)
    desk.run("a", "b")
    desk.run("c", "d", "dies", "raises", seed=10)
    desk.engine.close()
    desk.run("e", seed=20)
    assert desk.ends() == {**dict.fromkeys("abcde", "finished"), "dies": "failed", "raises": "failed"}
    tries = desk.ran.tries()
    assert sum(arm == "dies" for arm, _ in tries) == MAX_FAILURES + 1
    assert sum(arm == "raises" for arm, _ in tries) == 1
    pids = dict(tries)
    assert {pids["a"], pids["b"]} & {pids["c"], pids["d"]}


def test_a_trial_that_waits_for_room_is_told_and_goes_on(make_desk: Any) -> None:
    desk = make_desk(1)
    desk.run("a", "waits")
    assert desk.ends() == dict.fromkeys(("a", "waits"), "finished")
    assert desk.said == ["waits waits for room: it needs 2 times much"]


def test_trials_take_turns_where_fewer_have_room_than_may_run(make_desk: Any) -> None:
    import ray

    desk = make_desk(ray.cluster_resources()["CPU"])
    desk.run("a", "b", "c")
    desk.run("d", seed=10)
    assert desk.ends() == dict.fromkeys("abcd", "finished")


def test_a_trial_that_came_to_a_node_with_other_versions_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import tune

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", told.append)

    def run(*trial: Any, other_versions: Any, **options: Any) -> TrialResult:
        raise OtherNodeError(other_versions())

    spec = plan_trial(make_factory(tmp_path / "study"), {"ct-lung": 4}, seed=0, arm="a").spec
    given: dict[str, Any] = {"resources": TrialResources(), "label": "study", "nodes_go": True, "rows": None}
    dumped = {"specs": {spec.train_id: spec.model_dump(mode="json")}, "stage": "search", "submitted_at": 0.0}
    _run_one(dumped, run=run, run_dir=str(tmp_path), other_versions=lambda: "Versions differ: those.", **given)
    ended = {"train_id": spec.train_id, "ended": "failed", "error": "OtherNodeError: Versions differ: those."}
    assert told == [{"status": "failed", "events": [ended]}]
