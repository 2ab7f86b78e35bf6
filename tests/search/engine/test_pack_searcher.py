"""Tune's view of a study whose packs come with their processes, as nested trials do."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from ray import cloudpickle
from ray.tune.search import Searcher

from datasets_spec.errors import UserError
from search.engine.pack_searcher import MAX_LOST, PackSearcher
from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial
from search.engine.trial_sources import ListSource
from search.ledger.ledger import Ledger
from search.study.run_dir import RunDir
from tests.makers.study_fixture import finish_trial, make_factory, plan_trial


class Desk:
    """A searcher over a real ledger; the test plays Tune."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self.run_dir = root / "run"
        self.ledger = ledger
        self.searcher = PackSearcher(
            Recorder(RunDir(self.run_dir), ledger, lambda record: None), on_running=lambda number: None
        )
        factory = make_factory(root / "study")
        self.planned = [plan_trial(factory, {"ct-lung": 4}, seed=i, arm=f"arm-{i}") for i in range(2)]
        self.twin = plan_trial(factory, {"ct-lung": 4}, seed=0, arm="of arm-0's training")
        self.num_asked = 0

    def records(self) -> list[Mapping[str, Any]]:
        return [r for r in self.ledger.records() if r["kind"] == "trial"]

    def serve(self, planned: list[PlannedTrial]) -> threading.Thread:
        options = {"pack_size": 1, "is_alive": lambda: None}
        thread = threading.Thread(target=self.searcher.serve, args=(ListSource(planned),), kwargs=options)
        thread.start()
        return thread

    def ask(self) -> tuple[str, Any]:
        self.num_asked += 1
        name = f"tune-{self.num_asked}"
        return name, self.searcher.suggest(name)

    def ask_until_there_is_one(self) -> tuple[str, Any]:
        deadline = time.monotonic() + 30
        while (asked := self.ask())[1] is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return asked

    def end(self, thread: threading.Thread) -> None:
        while thread.is_alive():
            assert self.ask()[1] is None
            thread.join(timeout=0.01)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:
        yield Desk(tmp_path, ledger)


def told(planned: PlannedTrial, ended: str) -> dict[str, Any]:
    return {"status": ended, "events": [{"train_id": planned.spec.train_id, "ended": ended}]}


def test_packs_while_there_is_a_source_and_nothing_after(desk: Desk) -> None:
    thread = desk.serve(desk.planned)
    for planned in desk.planned:
        name, config = desk.ask_until_there_is_one()
        assert list(config["specs"]) == [planned.spec.train_id]
        assert config["stage"] == planned.stage.value
        finish_trial(desk.run_dir, planned)
        desk.searcher.on_trial_result(name, told(planned, "finished"))
        desk.searcher.on_trial_complete(name, told(planned, "finished"))
    desk.end(thread)
    assert [(r["status"], r["reused"]) for r in desk.records()] == [("finished", False)] * 2
    assert desk.ask()[1] is None
    desk.searcher.close()
    assert desk.ask()[1] == Searcher.FINISHED


def test_a_good_end_without_a_readable_result_is_a_failure(desk: Desk) -> None:
    """Else the ledger had a finished trial without a score, which would never be trained."""
    planned = desk.planned[0]
    thread = desk.serve([planned])
    name, _ = desk.ask_until_there_is_one()
    desk.searcher.on_trial_complete(name, told(planned, "finished"))
    desk.end(thread)
    assert [(r["status"], r["error"]) for r in desk.records()] == [("failed", "it left no result")]


def test_what_a_process_published_before_it_died_is_its_result(desk: Desk) -> None:
    planned = desk.planned[0]
    thread = desk.serve([planned])
    name, _ = desk.ask_until_there_is_one()
    finish_trial(desk.run_dir, planned)
    desk.searcher.on_trial_complete(name, None, error=True)
    desk.end(thread)
    assert [(r["status"], r["reused"]) for r in desk.records()] == [("finished", False)]


def test_losses_are_counted_until_a_trial_ends(desk: Desk) -> None:
    """It may be asked for again, for further scores."""
    planned = desk.planned[0]
    thread = desk.serve([planned])
    for _ in range(MAX_LOST - 1):
        name, _ = desk.ask_until_there_is_one()
        desk.searcher.on_trial_complete(name, None, error=True)
    name, _ = desk.ask_until_there_is_one()
    desk.searcher.on_trial_complete(name, told(planned, "timeout"))
    desk.end(thread)
    again = desk.serve([desk.twin])
    name, _ = desk.ask_until_there_is_one()
    desk.searcher.on_trial_complete(name, None, error=True)
    name, _ = desk.ask_until_there_is_one()
    desk.searcher.on_trial_complete(name, told(desk.twin, "oom"))
    desk.end(again)
    assert [r["status"] for r in desk.records()] == ["timeout", "oom"]


def test_a_study_that_stops_hands_out_nothing_more(desk: Desk) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.searcher.serve(ListSource(desk.planned), pack_size=1, is_alive=stop)
    assert desk.ask()[1] is None


def test_who_listens_can_stop_the_study(desk: Desk) -> None:
    """As on an outage: no trial, and no proposal, is spent after it."""
    raised = UserError("an outage")
    listener = Mock(side_effect=raised)
    searcher = PackSearcher(Recorder(RunDir(desk.run_dir), desk.ledger, listener), on_running=lambda number: None)
    desk.searcher = searcher
    caught: list[BaseException] = []

    def serve() -> None:
        try:
            searcher.serve(ListSource(desk.planned), pack_size=1, is_alive=lambda: None)
        except UserError as error:
            caught.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    name, _ = desk.ask_until_there_is_one()
    searcher.on_trial_complete(name, told(desk.planned[0], "failed"))
    assert desk.ask()[1] is None
    thread.join(timeout=30)
    assert caught == [raised]
    assert len(desk.records()) == 1


def test_tune_can_write_it_down_whatever_listens_to_the_study() -> None:
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    recorder: Any = waiting  # a recorder whose listener holds a thread's queue
    cloudpickle.dumps(PackSearcher(recorder, on_running=waiting.put))
