"""Tune's view of a study: every trial once, in packs of like ones, recorded as it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from datasets_spec.errors import UserError
from search.engine.lasting_searcher import MAX_FAILED_STARTS, LastingSearcher
from search.engine.pack_searcher import MAX_LOST
from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial
from search.engine.trial_sources import WAIT, ListSource
from search.ledger.ledger import Ledger
from search.study.run_dir import RunDir
from tests.makers.study_fixture import default_recipe, finish_trial, make_factory, plan_trial

OVER = {"status": "running", "events": [], "is_over": True}


class Fixture:
    """A searcher over a real ledger; `work` plays Tune and the slots."""

    def __init__(self, root: Path, ledger: Ledger, *, max_packs: int = 2) -> None:
        self.run_dir = root / "run"
        self.ledger = ledger
        self.factory = make_factory(root / "study")
        self.told: list[tuple[str, int, bool]] = []
        self.running: list[int] = []
        self.searcher = LastingSearcher(
            Recorder(RunDir(self.run_dir), ledger, lambda record: None),
            pack_shape=lambda planned: (planned.spec.recipe.batch_size,),
            max_packs=max_packs,
            on_rung=lambda planned, step, correct: "1" in correct["mr-lung"],
            tell=lambda train_id, step, goes_on: self.told.append((train_id, step, goes_on)),
            on_running=self.running.append,
        )
        self.num_asked = 0
        self.idle: list[str] = []

    def plan(self, seed: int, *, batch_size: int = 4, arm: str | None = None) -> PlannedTrial:
        recipe = default_recipe().model_copy(update={"batch_size": batch_size})
        return plan_trial(
            self.factory, {"ct-lung": 4}, seed=seed, recipe=recipe, arm=arm or f"arm-{seed}", proposal_index=None
        )

    def suggest(self) -> tuple[str, Any]:
        """As Tune does: an idle process, perhaps a new one, shows itself, and takes a pack if there is one."""
        if not self.idle:
            name, config = self.ask()
            if config is None:
                return name, None
            assert config["specs"] == {}
            self.idle.append(name)
        if not self.searcher.may_end(self.idle[0], OVER):
            return self.idle[0], None
        self.searcher.on_trial_complete(self.idle.pop(0), OVER)
        return self.ask()

    def ask(self) -> tuple[str, Any]:
        self.num_asked += 1
        name = f"tune-{self.num_asked}"
        return name, self.searcher.suggest(name)

    def records(self) -> list[Mapping[str, Any]]:
        return [r for r in self.ledger.records() if r["kind"] == "trial"]

    def serving(self, source: Any, *, pack_size: int, is_alive: Callable[[], None] = lambda: None) -> threading.Thread:
        thread = threading.Thread(
            target=self.searcher.serve, args=(source,), kwargs={"pack_size": pack_size, "is_alive": is_alive}
        )
        thread.start()
        while self.searcher._source is None and thread.is_alive():
            pass
        return thread


@pytest.fixture
def fixture(tmp_path: Path) -> Any:
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:
        yield Fixture(tmp_path, ledger)


def end(fixture: Fixture, name: str, planned: list[PlannedTrial], *, is_last: bool = True) -> None:
    for one in planned:
        finish_trial(fixture.run_dir, one)
    events = [{"train_id": one.spec.train_id, "ended": "finished"} for one in planned]
    assert not fixture.searcher.may_end(name, {"status": "running", "events": events, "is_over": False})
    fixture.searcher.on_trial_result(name, {"status": "running", "events": events})
    if is_last:
        fixture.idle.append(name)


def finished(fixture: Fixture, thread: threading.Thread) -> None:
    """Tune asks on, gets nothing, and the driver goes on."""
    for _ in range(50):
        assert fixture.suggest()[1] is None
        thread.join(timeout=0.1)
        if not thread.is_alive():
            return
    raise AssertionError("the driver still waits")


def test_without_a_source_tune_waits_and_after_the_end_it_ends(fixture: Fixture) -> None:
    assert fixture.suggest()[1] is None
    fixture.searcher.close()
    assert fixture.suggest()[1] == Searcher.FINISHED


def test_no_process_is_let_go_while_another_starts(fixture: Fixture) -> None:
    """Tune would give it to the pack of the one that starts, drop that one, and start a third for the next pack."""
    thread = fixture.serving(ListSource([fixture.plan(0)]), pack_size=1)
    (first, _), (second, _) = fixture.ask(), fixture.ask()
    assert not fixture.searcher.may_end(first, OVER)
    assert fixture.searcher.may_end(second, OVER)
    assert not fixture.searcher.may_end(first, OVER), "there is no second pack"
    fixture.searcher.on_trial_complete(second, OVER)
    name, config = fixture.ask()
    assert len(config["specs"]) == 1
    fixture.idle.append(first)
    end(fixture, name, [fixture.plan(0)])
    finished(fixture, thread)


def test_a_process_that_died_while_it_started_holds_up_nobody(fixture: Fixture) -> None:
    thread = fixture.serving(ListSource([fixture.plan(0)]), pack_size=1)
    (first, _), (second, _) = fixture.ask(), fixture.ask()
    assert not fixture.searcher.may_end(first, OVER)
    fixture.searcher.on_trial_complete(second, None, error=True)
    fixture.idle.append(first)
    name, config = fixture.suggest()
    assert len(config["specs"]) == 1
    end(fixture, name, [fixture.plan(0)])
    finished(fixture, thread)


def test_processes_that_never_start_end_the_study_in_words(fixture: Fixture) -> None:
    caught: list[UserError] = []

    def serve() -> None:
        try:
            fixture.searcher.serve(ListSource([fixture.plan(0)]), pack_size=1, is_alive=lambda: None)
        except UserError as error:
            caught.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    for _ in range(2 * MAX_FAILED_STARTS):
        assert not caught
        name, config = fixture.ask()
        assert config["specs"] == {}
        fixture.searcher.on_trial_complete(name, None, error=True)
    assert fixture.ask()[1] is None, "no further process"
    thread.join(timeout=60)
    assert [error.message.partition(":")[0] for error in caught] == ["Ray Tune's processes cannot start"]


def test_a_study_goes_on_with_the_process_that_lives_where_no_other_starts(fixture: Fixture) -> None:
    thread = fixture.serving(ListSource([fixture.plan(0)]), pack_size=1)
    alive, _ = fixture.ask()
    for _ in range(2 * MAX_FAILED_STARTS):
        name, _ = fixture.ask()
        assert not fixture.searcher.may_end(alive, OVER), "one starts"
        fixture.searcher.on_trial_complete(name, None, error=True)
    assert fixture.ask()[1] is None
    assert fixture.searcher.may_end(alive, OVER)
    fixture.searcher.on_trial_complete(alive, OVER)
    name, config = fixture.ask()
    assert len(config["specs"]) == 1
    fixture.searcher.on_trial_complete(name, None, error=True)  # it dies much later: others may try again
    name, config = fixture.ask()
    fixture.idle.append(name)
    name, config = fixture.suggest()
    end(fixture, name, [fixture.plan(0)])
    finished(fixture, thread)


def test_packs_hold_like_trials_and_no_more_than_fit(fixture: Fixture) -> None:
    planned = [fixture.plan(i, batch_size=4 if i != 2 else 2) for i in range(5)]
    thread = fixture.serving(ListSource(planned), pack_size=3)
    seen: list[list[int]] = []
    while thread.is_alive():
        name, config = fixture.suggest()
        if config is not None:
            mine = [p for p in planned if p.spec.train_id in config["specs"]]
            seen.append([p.spec.seed for p in mine])
            assert len({p.spec.recipe.batch_size for p in mine}) == 1
            end(fixture, name, mine)
    assert sorted(seed for pack in seen for seed in pack) == [0, 1, 2, 3, 4]
    assert max(map(len, seen)) <= 3
    assert sorted(r["arm"] for r in fixture.records()) == [f"arm-{i}" for i in range(5)]
    assert fixture.running[-1] == 0


def test_each_trial_is_recorded_as_it_ends_not_with_its_pack(fixture: Fixture) -> None:
    planned = [fixture.plan(i) for i in range(2)]
    thread = fixture.serving(ListSource(planned), pack_size=2)
    name, config = fixture.suggest()
    assert len(config["specs"]) == 2
    end(fixture, name, planned[:1], is_last=False)
    assert [r["arm"] for r in fixture.records()] == ["arm-0"]
    assert fixture.running[-1] == 1
    end(fixture, name, planned[1:])
    finished(fixture, thread)


def test_only_so_many_packs_are_on_their_way(fixture: Fixture) -> None:
    planned = [fixture.plan(i) for i in range(4)]
    thread = fixture.serving(ListSource(planned), pack_size=1)
    first, second = fixture.suggest(), fixture.suggest()
    assert fixture.suggest()[1] is None
    for name, config in (first, second):
        end(fixture, name, [p for p in planned if p.spec.train_id in config["specs"]])
    for name, config in (fixture.suggest(), fixture.suggest()):
        end(fixture, name, [p for p in planned if p.spec.train_id in config["specs"]])
    finished(fixture, thread)


def test_two_arms_of_one_training_train_once(fixture: Fixture) -> None:
    one, twin = fixture.plan(0), fixture.plan(0, arm="twin")
    thread = fixture.serving(ListSource([one, twin]), pack_size=2)
    name, config = fixture.suggest()
    assert len(config["specs"]) == 1
    assert fixture.suggest()[1] is None
    end(fixture, name, [one])
    finished(fixture, thread)
    assert [(r["arm"], r["reused"]) for r in fixture.records()] == [("arm-0", False), ("twin", True)]


def test_what_is_done_is_not_handed_out(fixture: Fixture) -> None:
    done, left = fixture.plan(0), fixture.plan(1)
    finish_trial(fixture.run_dir, done)
    thread = fixture.serving(ListSource([done, left]), pack_size=2)
    name, config = fixture.suggest()
    assert list(config["specs"]) == [left.spec.train_id]
    end(fixture, name, [left])
    finished(fixture, thread)


def test_a_source_that_waits_is_asked_again(fixture: Fixture) -> None:
    planned = [fixture.plan(0), fixture.plan(1)]
    answers: list[Any] = [planned[0], WAIT, planned[1], None]

    class Waiting:
        def next_trial(self) -> Any:
            return answers.pop(0)

    thread = fixture.serving(Waiting(), pack_size=4)
    name, config = fixture.suggest()
    assert list(config["specs"]) == [planned[0].spec.train_id]
    end(fixture, name, planned[:1])
    name, config = fixture.suggest()
    assert list(config["specs"]) == [planned[1].spec.train_id]
    end(fixture, name, planned[1:])
    finished(fixture, thread)


def test_decisions_at_rungs_go_back_to_the_slot(fixture: Fixture) -> None:
    planned = [fixture.plan(0)]
    thread = fixture.serving(ListSource(planned), pack_size=1)
    name, _ = fixture.suggest()
    train_id = planned[0].spec.train_id
    for step, bits in ((1, "01"), (2, "00")):
        event = {"train_id": train_id, "step": step, "correct": {"mr-lung": bits}}
        fixture.searcher.on_trial_result(name, {"status": "running", "events": [event]})
    assert fixture.told == [(train_id, 1, True), (train_id, 2, False)]
    end(fixture, name, planned)
    finished(fixture, thread)


def test_trials_whose_process_died_are_asked_for_again_and_not_for_ever(fixture: Fixture) -> None:
    planned = [fixture.plan(0)]
    thread = fixture.serving(ListSource(planned), pack_size=1)
    for _ in range(MAX_LOST):
        name, config = fixture.suggest()
        assert list(config["specs"]) == [planned[0].spec.train_id]
        fixture.searcher.on_trial_complete(name, None, error=True)
    finished(fixture, thread)
    assert [r["status"] for r in fixture.records()] == ["failed"]


def test_an_end_without_a_result_is_recorded_as_what_it_was(fixture: Fixture) -> None:
    planned = [fixture.plan(0)]
    thread = fixture.serving(ListSource(planned), pack_size=1)
    name, _ = fixture.suggest()
    event = {"train_id": planned[0].spec.train_id, "ended": "timeout", "error": "past the deadline"}
    fixture.searcher.on_trial_complete(name, {"status": "running", "events": [event]})
    finished(fixture, thread)
    assert [(r["status"], r["error"]) for r in fixture.records()] == [("timeout", "past the deadline")]


def test_what_breaks_in_tunes_thread_reaches_the_driver(fixture: Fixture) -> None:
    class Broken:
        def next_trial(self) -> Any:
            raise OSError("the disk is full")

    caught: list[BaseException] = []

    def serve() -> None:
        try:
            fixture.searcher.serve(Broken(), pack_size=1, is_alive=lambda: None)
        except OSError as error:
            caught.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    while thread.is_alive():
        fixture.suggest()
    assert [str(error) for error in caught] == ["the disk is full"]
