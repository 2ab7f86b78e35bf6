"""Where nodes come and go by need: which slots are sent home, and when they come back."""

from __future__ import annotations

import random

import pytest

from tests.trainers.executors.test_broker import leased, work
from trainers.executors.broker import Broker, Work

SPARE_S = 60.0


def broker(*slots: str, spare_s: float | None = SPARE_S) -> Broker:
    made = Broker(now=0.0, spare_s=spare_s)
    for slot in slots:
        made.register(slot, "1", {}, now=0.0)
    return made


def asks(at: Broker, slot: str, now: float) -> bool:
    """A living slot asks for work and gets none; whether it stays."""
    assert at.lease(slot, "1", now=now) is None
    return at.is_wanted(slot, now=now, is_alive=True)


def comes(at: Broker, slot: str, now: float) -> bool:
    """A slot without a process asks; whether it is to come."""
    return at.is_wanted(slot, now=now, is_alive=False)


def test_a_slot_that_had_nothing_to_do_for_long_goes_and_one_stays() -> None:
    at = broker("a", "b")
    assert asks(at, "a", 0.0)
    assert asks(at, "b", 1.0)
    assert asks(at, "a", SPARE_S - 1)
    assert not asks(at, "a", SPARE_S)
    assert asks(at, "b", 10 * SPARE_S)  # the last one
    assert (set(at.slots), at.resting) == ({"b"}, {"a"})


def test_work_that_waits_brings_back_as_many_as_it_needs() -> None:
    at = broker("a", "b", "c", "d")
    at.submit(work("t", "x"))
    leased(at, "d")
    for slot in "abc":
        assert asks(at, slot, 0.0)
    assert [asks(at, slot, SPARE_S) for slot in "abc"] == [False, False, False]  # d works, and stays
    assert not comes(at, "a", SPARE_S + 1)
    at.submit(work("u", "y"))
    at.submit(work("v", "z"))
    assert [comes(at, slot, SPARE_S + 2) for slot in "abc"] == [True, True, False]
    at.register("a", "2", {}, now=SPARE_S + 30)
    assert list(at.lease("a", "2", now=SPARE_S + 30).specs) == ["y"]  # type: ignore[union-attr]
    assert not comes(at, "c", SPARE_S + 31)  # b is on its way for what is left


def test_a_slot_that_no_node_has_had_room_for_is_asked_for_no_more() -> None:
    at = broker()
    assert comes(at, "a", 0.0)
    assert comes(at, "b", 0.0)
    assert comes(at, "b", 10 * SPARE_S)  # nobody works yet
    at.register("a", "1", {}, now=10 * SPARE_S)
    assert not comes(at, "b", 10 * SPARE_S)


def test_a_slot_that_no_node_has_room_for_keeps_nobody_at_home() -> None:
    at = broker("a", "b")
    assert [asks(at, slot, 0.0) for slot in "ab"] == [True, True]
    assert not asks(at, "b", SPARE_S)
    assert comes(at, "a", SPARE_S + 1)  # its node has gone
    at.submit(work("t", "x"))
    assert not comes(at, "b", SPARE_S + 2)  # a is on its way
    assert comes(at, "a", SPARE_S + 240)
    assert comes(at, "b", SPARE_S + 241)


def test_a_slot_whose_node_has_gone_sends_nobody_home() -> None:
    at = broker("a", "b")
    assert asks(at, "b", 0.0)
    assert comes(at, "a", 1.0)
    assert asks(at, "b", SPARE_S)


def test_work_in_between_starts_the_time_anew() -> None:
    at = broker("a", "b")
    assert asks(at, "a", 0.0)
    at.submit(work("t", "x"))
    held = leased(at, "a", 50.0)
    at.report("t", {"train_id": "x", "ended": "finished"})
    at.finish("a", held)
    assert asks(at, "a", 55.0)
    assert asks(at, "a", SPARE_S)


def test_a_cluster_that_stays_as_it_is_keeps_its_slots() -> None:
    at = broker("a", "b", spare_s=None)
    assert asks(at, "a", 0.0)
    assert asks(at, "a", 100 * SPARE_S)
    assert at.resting == set()


class Slots:
    """Slots that do what those of a pool do; a node that has gone never comes again."""

    def __init__(self, *names: str) -> None:
        self.at, self.names = broker(*names), names
        self.without_node: set[str] = set()
        self.alive = set(names)
        self.asking: set[str] = set()
        self.held: dict[str, Work] = {}

    def turn(self, slot: str, now: float) -> None:
        """Finish what is held; else ask for work, or whether to come back."""
        if slot in self.held:
            done = self.held.pop(slot)
            self.at.report(done.ticket, {"train_id": next(iter(done.specs)), "ended": "finished"})
            self.at.finish(slot, done)
        elif slot in self.without_node:
            self.alive.discard(slot)
            (self.asking.add if comes(self.at, slot, now) else self.asking.discard)(slot)
        elif slot not in self.alive:
            if comes(self.at, slot, now):
                self.at.register(slot, "1", {}, now=now)
                self.alive.add(slot)
        elif (got := self.at.lease(slot, "1", now=now)) is not None:
            self.held[slot] = got
        elif not self.at.is_wanted(slot, now=now, is_alive=True):
            self.alive.remove(slot)


@pytest.mark.parametrize("num_gone", [0, 1, 4])
@pytest.mark.parametrize("seed", range(20))
def test_work_always_finds_a_slot(seed: int, num_gone: int) -> None:
    rng, now, number = random.Random(seed), 0.0, 0
    slots = Slots(*(f"s{i}" for i in range(5)))
    for _ in range(400):
        now += rng.choice([1.0, 20.0, SPARE_S])
        if rng.random() < 0.15:
            number += 1
            slots.at.submit(work(f"t{number}", f"x{number}"))
        slots.turn(rng.choice(slots.names), now)
        assert slots.alive
        assert slots.at.resting == set(slots.names) - slots.alive
    slots.without_node |= set(sorted(slots.alive)[:num_gone])
    for turn in range(2 * number):
        if turn == number:
            slots.at.submit(work("last", "x"))
        for name in slots.names:
            slots.turn(name, now)
        assert slots.at.resting == set(slots.names) - slots.alive - slots.asking
    assert slots.at.num_waiting == 0
