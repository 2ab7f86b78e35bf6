"""Slots that cannot work: the study hears why, and they are not started again for ever."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import trainers.executors.pool
from datasets_spec.errors import UserError
from tests.makers.families import toy_rows
from tests.makers.table_rows import TableRows
from tests.trainers.executors.test_pool import BACKBONE, ends, spec, submit
from trainers.executors.broker import Broker, Overdue, Work
from trainers.executors.pool import MAX_FAILED_STARTS, SlotPool
from trainers.executors.resources import TrialResources
from trainers.executors.slot import SlotConfig, measured_packs
from trainers.trial.failures import RowsAwayError

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@dataclass(frozen=True, kw_only=True)
class DeadlyRows(TableRows):
    """Rows that end whoever reads them, and rows that lie nowhere when they are asked for first."""

    away_once: Path | None = None  # a file that is written then

    def read(self, subset: str, split: str, num_rows: int | None = None) -> Any:
        if subset == "deadly":
            os._exit(1)
        if subset == "away" and self.away_once is not None:
            if not self.away_once.exists():
                self.away_once.touch()
                raise RowsAwayError("rows went with a node")
            subset = "toy"
        return super().read(subset, split, num_rows)


def make_pool(
    folder: Path,
    measured: str,
    said: list[str],
    kind: type[SlotPool] = SlotPool,
    *,
    recycle_trials: int = 100,
    away_once: Path | None = None,
) -> SlotPool:
    tables = {("toy", split): toy_rows(9) for split in ("train", "search")}
    rows = DeadlyRows(tables=tables, away_once=away_once)

    def make_config(name: str, broker: Any) -> SlotConfig:
        return SlotConfig(
            name=name, broker=broker, backbone=BACKBONE, rows=rows, run_dir=folder, num_threads=1,
            measure=spec(0, subset=measured), max_pack=2, checkpoint_s=60.0, recycle_trials=recycle_trials,
        )  # fmt: skip

    return kind(slots=[TrialResources()], make_config=make_config, storage=str(folder / "cache"), say=said.append)


def test_an_error_while_measuring_ends_the_study_in_its_words(local_ray: None, tmp_path: Path) -> None:
    pool = make_pool(tmp_path, "absent", [])
    pool.start()
    try:
        with pytest.raises(UserError, match=r"measuring packs ended in .*no rows of absent/train"):
            pool.wait_ready()
    finally:
        pool.close()


@pytest.mark.slow
def test_a_slot_that_dies_before_it_takes_a_trial_is_given_up_aloud(local_ray: None, tmp_path: Path) -> None:
    said: list[str] = []
    pool = make_pool(tmp_path, "deadly", said)
    pool.start()
    try:
        with pytest.raises(UserError, match=f"started {MAX_FAILED_STARTS} times and took no trial .*WorkerGroupError"):
            pool.wait_ready()
    finally:
        pool.close()
    assert len([line for line in said if "it is started again" in line]) == MAX_FAILED_STARTS - 1


@pytest.mark.slow
def test_a_slot_whose_rows_went_with_a_node_hands_over_and_comes_back_when_they_are_there(
    local_ray: None, tmp_path: Path
) -> None:

    said: list[str] = []
    pool, numbers = make_pool(tmp_path, "toy", said, away_once=tmp_path / "asked"), iter([0, 2, 2])
    pool.num_away = lambda: next(numbers, 0)
    pool.start()
    try:
        first = pool.wait_ready()
        one = spec(3, subset="away")
        assert ends(pool, submit(pool, [one])) == [(one.train_id, "finished")]
        state = pool.check()
    finally:
        pool.close()
    assert (state["num_handed_over"], state["num_retried"]) == (1, 0)  # no attempt of its is spent
    assert state["slots"]["slot-0"]["pid"] != first["pid"]
    assert next(numbers, "all") == "all"
    assert len([line for line in said if line.startswith("kept vision features went with a node (blocks: 2)")]) == 1


@pytest.mark.slow
def test_a_recycled_slot_keeps_what_was_measured(local_ray: None, tmp_path: Path) -> None:
    pool = make_pool(tmp_path, "toy", [], recycle_trials=1)
    pool.start()
    try:
        first = pool.wait_ready()
        one = spec(3)
        assert ends(pool, submit(pool, [one])) == [(one.train_id, "finished")]
        while (again := pool.wait_ready())["pid"] == first["pid"]:
            time.sleep(0.1)
    finally:
        pool.close()
    assert first["step_s"]
    assert (again["pack_size"], again["step_s"]) == (first["pack_size"], first["step_s"])


def test_what_a_slot_measured_is_kept_and_not_measured_again(tmp_path: Path) -> None:
    measured = {"pack_size": 4, "step_s": {"1": 0.5}, "micro_batch_size": None}
    broker = Broker(now=0.0)
    broker.register("a", "1", {"measured": measured}, now=0.0)
    broker.end_slot("a", Overdue(reason="past the deadline", is_timeout=True), now=1.0)
    config = SlotConfig(
        name="a", broker=None, backbone=BACKBONE, rows=TableRows(tables={}), run_dir=tmp_path, num_threads=1,
        measure=spec(0), max_pack=8, checkpoint_s=60.0, measured=broker.measured["a"],
    )  # fmt: skip
    assert measured_packs(config, None) == measured


def test_a_slot_is_told_what_it_occupies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray
    import ray.train.torch

    given: dict[str, Any] = {}

    class Trainer:
        def __init__(self, serve: Any, *, train_loop_config: dict[str, Any], **options: Any) -> None:
            given.update(train_loop_config)

        def fit(self) -> None:
            return

    monkeypatch.setattr(ray.train.torch, "TorchTrainer", Trainer)
    monkeypatch.setattr(ray, "get", lambda reference: {"measured": {}})
    pool = make_pool(tmp_path, "toy", [])
    pool.broker = SimpleNamespace(state=SimpleNamespace(remote=lambda: None))
    assert pool._run_once("slot-0", TrialResources(gpus_per_worker=0.5)) is None
    assert given["slot"].resources.gpus_per_worker == 0.5


def scripted(runs: Sequence[Callable[[Any], str | None]]) -> type[SlotPool]:
    """A pool whose slot's processes are functions of the broker."""
    left = list(runs)

    class Scripted(SlotPool):
        def _run_once(self, name: str, resources: TrialResources) -> str | None:
            return left.pop(0)(self.broker)

    return Scripted


def dies(broker: Any) -> str | None:
    return "ActorDiedError"


def waits_for_room(broker: Any) -> str | None:
    return "ControllerError <- WorkerGroupStartupTimeoutError"


def ends_by_itself(broker: Any) -> str | None:
    """Its node is drained, or it is recycled."""
    return None


def takes_a_trial_and_dies(broker: Any) -> str | None:
    import ray

    process = f"{time.time_ns()}"
    ray.get(broker.register.remote("slot-0", process, {}, None))
    ray.get(broker.submit.remote(Work(ticket=process, specs={process: {}}, submitted_at=0.0)))
    ray.get(broker.lease.remote("slot-0", process, None))
    return "ActorDiedError"


def look_for_ever(pool: SlotPool) -> None:
    while True:
        pool.check()
        time.sleep(0.05)


def test_only_deaths_without_a_trial_are_counted_and_all_are_told(local_ray: None, tmp_path: Path) -> None:
    said: list[str] = []
    runs = [
        *[waits_for_room] * (MAX_FAILED_STARTS + 1),
        *[ends_by_itself] * (MAX_FAILED_STARTS + 1),
        dies,
        dies,
        takes_a_trial_and_dies,
        takes_a_trial_and_dies,
        dies,
        dies,
        dies,
    ]
    pool = make_pool(tmp_path, "toy", said, scripted(runs))
    pool.start()
    try:
        with pytest.raises(UserError, match=r"took no trial \(ActorDiedError\)"):
            look_for_ever(pool)
    finally:
        pool.close()
    assert [("before it took a trial" in line) for line in said] == [True, True, False, False, True, True]


class OneUnable(SlotPool):
    """A pool of which one slot works, and the other cannot, whenever it is asked."""

    def _run_once(self, name: str, resources: TrialResources) -> str | None:
        import ray

        if name == "slot-0":
            ray.get(self.broker.register.remote(name, "process", {}, None))
            while not self._is_closing:
                time.sleep(0.05)
        else:
            while "slot-0" not in ray.get(self.broker.state.remote())["slots"]:
                time.sleep(0.05)
            ray.get(self.broker.say_why.remote(name, "OSError: its disk", for_all=True))
        return None


def test_a_slot_that_cannot_work_is_given_up_and_the_others_go_on(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainers.executors.pool, "RETRY_S", 0.0)
    said: list[str] = []
    pool = make_pool(tmp_path, "toy", said, OneUnable)
    pool.slots = [TrialResources()] * 2
    pool.start()
    try:
        while not any("given up" in line for line in said):
            pool.check()
            time.sleep(0.05)
        state = pool.check()
    finally:
        pool.close()
    assert list(state["slots"]) == ["slot-0"]
    assert [line for line in said if line.startswith("slot-1")] == [
        *["slot-1 ended (OSError: its disk); it is started again"] * (MAX_FAILED_STARTS - 1),
        f"slot-1 was started {MAX_FAILED_STARTS} times and could not work (OSError: its disk); see `ray logs`; "
        "it is given up, 1 of 2 slots are left",
    ]


def test_a_study_whose_slots_have_gone_says_what_it_waits_for(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainers.executors.pool, "READY_WAIT_S", 0.2)
    said: list[str] = []

    class GoneOnce(OneUnable):
        num = 0

        def _run_once(self, name: str, resources: TrialResources) -> str | None:
            import ray

            GoneOnce.num += 1
            if GoneOnce.num > 1:  # its node was the last of its kind
                time.sleep(0.05)
                return waits_for_room(self.broker)
            ray.get(self.broker.register.remote(name, "process", {}, None))
            return dies(self.broker)

    pool = make_pool(tmp_path, "toy", said, GoneOnce)
    pool.start()
    try:
        while not any(line.startswith("waiting for a slot: each needs ") for line in said):
            pool.check()
            time.sleep(0.05)
    finally:
        pool.close()


class Eager(SlotPool):
    """A pool whose slots' processes are loops that take a moment for each work."""

    def _run_once(self, name: str, resources: TrialResources) -> str | None:
        import ray

        process = f"{name}-{time.time_ns()}"
        ray.get(self.broker.register.remote(name, process, {}, None))
        while (work := ray.get(self.broker.lease.remote(name, process, None))) not in ("close", "rest"):
            if work is not None:
                time.sleep(0.4)
                for train_id in work.specs:
                    ray.get(self.broker.report.remote(work.ticket, {"train_id": train_id, "ended": "finished"}))
                ray.get(self.broker.finish.remote(name, work, False))
        return None


def test_a_spare_slot_goes_and_comes_again(local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(trainers.executors.pool, "USE_POLL_S", 0.05)
    said: list[str] = []
    pool = make_pool(tmp_path, "toy", said, Eager)
    pool.slots, pool.spare_s = [TrialResources()] * 2, 0.2
    pool.start()
    try:
        while len(pool.check()["resting"]) != 1:
            time.sleep(0.05)
        works = [Work(ticket=f"t{n}", specs={f"x{n}": {}}, submitted_at=0.0) for n in range(4)]
        ray.get([pool.broker.submit.remote(work) for work in works])
        assert [ends(pool, work) for work in works] == [[(f"x{n}", "finished")] for n in range(4)]
        taken = pool.check()["num_leases"]
    finally:
        pool.close()
    assert sorted(taken) == ["slot-0", "slot-1"]
    assert [line.partition(" ")[2] for line in said[:2]] == [
        "has nothing to do: its place is given back until there is work",
        "has work again: it asks for a place",
    ]


def test_a_shape_that_no_node_has_is_said_after_a_while(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nodes come by need nothing ends the study: one may be on its way."""
    monkeypatch.setattr(trainers.executors.pool, "READY_WAIT_S", 0.05)
    monkeypatch.setattr(trainers.executors.pool, "LONG_WAIT_S", 0.3)

    class Waits(SlotPool):
        def _run_once(self, name: str, resources: TrialResources) -> str | None:
            while not self._is_closing:
                time.sleep(0.05)
            return None

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("no node"):
            raise InterruptedError

    said: list[str] = []
    pool = make_pool(tmp_path, "toy", [], Waits)
    pool.slots, pool.say = [TrialResources(cpus_per_worker=999)], say
    pool.start()
    try:
        with pytest.raises(InterruptedError):
            pool.wait_ready()
    finally:
        pool.close()
    assert said[0].startswith("waiting for a slot: each needs ")
    assert said[-1].startswith("no node there is can hold one (at most ")


@pytest.mark.parametrize("comes", [True, False])
def test_a_small_slot_lets_a_large_one_choose_its_node_but_not_for_ever(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comes: bool
) -> None:
    """Ray would put the small one on any node, perhaps the only one that holds the large one."""
    monkeypatch.setattr(trainers.executors.pool, "USE_POLL_S", 0.05)
    monkeypatch.setattr(trainers.executors.pool, "TURN_S", 60.0 if comes else 0.5)
    asked: list[str] = []

    class Listed(Eager):
        def _await_turn(self, resources: TrialResources) -> None:
            while not comes and not asked and resources == TrialResources():
                time.sleep(0.01)  # its half second begins when the other has asked, however slow threads are
            super()._await_turn(resources)

        def _run_once(self, name: str, resources: TrialResources) -> str | None:
            asked.append(name)
            while not comes and name == "slot-1" and not self._is_closing:
                time.sleep(0.05)  # no node has room for it
            return super()._run_once(name, resources)

    pool = make_pool(tmp_path, "toy", [], Listed)
    pool.slots = [TrialResources(), TrialResources(cpus_per_worker=2)]
    pool.start()
    try:
        while "slot-0" not in pool.check()["slots"]:
            time.sleep(0.05)
    finally:
        pool.close()
    assert asked[:2] == ["slot-1", "slot-0"]
