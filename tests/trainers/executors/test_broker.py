"""The broker's rules, on a clock of the test's own: nothing is lost, nothing is done twice."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.executors.broker import DEADLINE_MARGIN_S, LEASE_S, MAX_ATTEMPTS, Broker, Overdue, Work


def work(ticket: str = "t", *names: str, timeout_s: float | None = None) -> Work:
    return Work(ticket=ticket, specs={n: {"name": n} for n in names}, submitted_at=0.0, timeout_s=timeout_s)


def broker(*slots: str) -> Broker:
    made = Broker(now=0.0)
    for slot in slots:
        made.register(slot, "1", {}, now=0.0)
    return made


def process_of(at: Broker, slot: str) -> str:
    """The slot's living process."""
    return "2" if at.is_current(slot, "2") else "1"


def end(at: Broker, held: Work, *names: str) -> None:
    for name in names or held.specs:
        at.report(held.ticket, {"train_id": name, "ended": "finished"})


def leased(at: Broker, slot: str, now: float = 0.0) -> Work:
    found = at.lease(slot, process_of(at, slot), now=now)
    assert found is not None
    return found


def test_work_goes_to_the_first_that_asks_and_comes_back_as_events() -> None:
    at = broker("a", "b")
    at.submit(work("t", "x", "y"))
    at.submit(work("t", "x", "y"))  # who asks again does not get it twice
    held = leased(at, "a")
    assert list(held.specs) == ["x", "y"]
    assert at.lease("b", process_of(at, "b"), now=0.0) is None
    assert at.lease("a", process_of(at, "a"), now=0.0) is None  # one at a time
    end(at, held, "x")
    assert at.events("t") == ([{"train_id": "x", "ended": "finished"}], False)
    end(at, held, "y")
    at.finish("a", held)
    assert at.events("t") == ([{"train_id": "y", "ended": "finished"}], True)
    assert at.events("t") is None
    assert at.held() == {}


def test_what_a_dead_slot_held_waits_for_no_other_process_of_it() -> None:
    at = broker("a", "b")
    at.submit(work("t", "x"))
    leased(at, "a")
    assert at.lease("b", "1", now=1.0) is None
    assert at.is_wanted("a", now=1.0, is_alive=False)  # its process has ended, and it asks for a place
    assert list(leased(at, "b", now=1.0).specs) == ["x"]


def test_deaths_of_processes_that_brought_a_trial_further_are_not_counted() -> None:
    at = broker("a")
    at.submit(work("t", "x"))
    for number in range(2 * MAX_ATTEMPTS):
        leased(at, "a")
        at.saved("a", "x", number + 1)
        at.register("a", f"{number + 2}", {}, now=0.0)
        at._processes["a"] = "1"  # the name under which the next one asks
    assert at.events("t") == ([], False)
    for _ in range(MAX_ATTEMPTS):
        leased(at, "a")
        at.saved("a", "x", 1)  # no further than others before it
        at.end_slot("a", Overdue(reason="silent", is_timeout=False), now=0.0)
        at.register("a", "1", {}, now=0.0)
    assert at.events("t") == ([{"train_id": "x", "ended": "failed", "error": "silent"}], True)


def test_what_a_slot_was_unable_to_go_on_with_is_queued_last() -> None:
    at = broker("a", "b")
    at.submit(work("t", "x"))
    at.submit(work("u", "y"))
    at.finish("a", leased(at, "a"), is_handed_over=True, is_unable=True)
    assert [list(leased(at, slot).specs) for slot in ("b", "a")] == [["y"], ["x"]]


def test_what_hinders_the_first_slot_hinders_all_and_what_hinders_a_later_one_does_not() -> None:
    first, later = broker(), broker("a")
    for at in (first, later):
        at.say_why("b", "no such model", for_all=True)
        assert at.last_words == {"b": ("no such model", False)}
    assert (first.fatal, later.fatal) == ("no such model", None)


def test_a_broker_that_was_restarted_knows_that_a_slot_works() -> None:
    restarted = Broker(now=0.0, grace_s=3.0)
    assert restarted.heartbeat("a", work("t", "x"), is_training=True, now=1.0)
    restarted.say_why("b", "no such model", for_all=True)
    assert restarted.fatal is None


def test_a_trial_that_is_asked_for_between_its_end_and_its_slots_last_word_is_queued() -> None:
    at = broker("a")
    at.submit(work("t", "x"))
    held = leased(at, "a")
    end(at, held, "x")
    assert at.events("t") == ([{"train_id": "x", "ended": "finished"}], True)
    at.submit(work("again", "x"))  # nobody will tell this end once more
    at.finish("a", held)
    assert leased(at, "a").ticket == "again"


def test_trials_of_a_dead_process_are_tried_again_alone_and_first() -> None:
    at = broker("a")
    at.submit(work("t", "x", "y", "z"))
    at.submit(work("u", "later"))
    held = leased(at, "a")
    end(at, held, "x")
    at.register("a", "2", {}, now=1.0)  # a new process of the same slot
    assert not at.heartbeat("a", held, is_training=True, now=1.0)  # what is left of the old one must stop
    for name in ("y", "z"):
        again = leased(at, "a", 1.0)
        assert (list(again.specs), again.attempt) == ([name], 2)
        end(at, again)
        at.finish("a", again)
    assert list(leased(at, "a", 1.0).specs) == ["later"]


def test_what_an_ended_process_finishes_late_is_not_what_its_slot_holds_now() -> None:
    at = broker("a")
    at.submit(work("t", "x"))
    at.submit(work("u", "y"))
    late = leased(at, "a")
    end(at, late)
    at.register("a", "2", {}, now=1.0)
    held = leased(at, "a", 1.0)
    at.finish("a", late)
    assert at.held() == {"a": ["y"]}
    assert at.heartbeat("a", held, is_training=True, now=1.0)
    at.finish("a", held)
    assert at.held() == {}


def test_a_trial_that_kills_its_process_again_and_again_fails() -> None:
    at = broker("a")
    at.submit(work("t", "x"))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert leased(at, "a").attempt == attempt
        at.register("a", "2", {}, now=0.0)
    assert at.lease("a", process_of(at, "a"), now=0.0) is None
    events, is_over = at.events("t") or ([], False)
    assert is_over
    assert [(e["ended"], e["error"]) for e in events] == [("failed", "its worker processes died")]


def test_a_trial_past_its_deadline_ends_and_its_neighbours_go_on() -> None:
    at = broker("a")
    at.submit(work("t", "x", "hangs", timeout_s=5.0))
    held = leased(at, "a")
    assert at.heartbeat("a", held, is_training=True, now=1.0)
    limit = 2 * 5.0 + DEADLINE_MARGIN_S  # two share the slot
    assert at.overdue(now=1.0 + limit) == {}
    ((slot, overdue),) = at.overdue(now=1.1 + limit).items()
    at.end_slot(slot, overdue, now=30.0)
    at.register("a", "2", {}, now=30.0)
    first = leased(at, "a", 30.0)
    end(at, first, "x")
    at.finish("a", first)
    alone = leased(at, "a", 30.0)
    assert list(alone.specs) == ["hangs"]
    assert at.heartbeat("a", alone, is_training=True, now=30.0)
    assert at.overdue(now=30.0 + 5.0 + DEADLINE_MARGIN_S) == {}
    at.end_slot("a", at.overdue(now=30.1 + 5.0 + DEADLINE_MARGIN_S)["a"], now=46.0)
    events, is_over = at.events("t") or ([], False)
    assert is_over
    assert events[-1] == {"train_id": "hangs", "ended": "timeout", "error": "past the deadline"}


def test_a_question_of_a_dead_process_gets_nothing() -> None:
    """It may wait in the broker when the next process registers, and would take the work with it (seen)."""
    at = broker("a")
    at.register("a", "2", {}, now=0.0)
    at.submit(work("t", "x"))
    assert at.lease("a", "1", now=0.0) is None
    assert not at.is_current("a", "1")
    found = at.lease("a", "2", now=0.0)
    assert found is not None
    assert list(found.specs) == ["x"]


def test_scoring_has_no_deadline_but_silence_has() -> None:
    at = broker("a")
    at.submit(work("t", "x", timeout_s=5.0))
    held = leased(at, "a")
    for now in range(0, 100, 10):
        assert at.heartbeat("a", held, is_training=False, now=float(now))
        assert at.overdue(now=now + 10.0) == {}
    assert "a" in at.overdue(now=90.0 + LEASE_S + 1.0)


def test_what_comes_before_and_between_training_has_no_deadline() -> None:
    """Cold images, first kernels, a batch of generated answers: each may take longer than a short limit."""
    at = broker("a")
    at.submit(work("t", "x", timeout_s=5.0))
    held = leased(at, "a")
    assert at.overdue(now=LEASE_S) == {}
    assert at.heartbeat("a", held, is_training=True, now=100.0)
    assert at.heartbeat("a", held, is_training=False, now=101.0)
    assert at.overdue(now=101.0 + LEASE_S) == {}


def test_a_trial_whose_slot_falls_silent_is_tried_again_and_is_no_timeout() -> None:
    """The slot may have waited for rows that only a lost node had, and whose return needs its processor (seen)."""
    at = broker("a")
    at.submit(work("t", "x"))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        now = 1000.0 * attempt
        at.register("a", str(attempt), {}, now=now)
        held = at.lease("a", str(attempt), now=now)
        assert held is not None
        assert held.attempt == attempt
        at.end_slot("a", at.overdue(now=now + LEASE_S + 1.0)["a"], now=now + LEASE_S + 1.0)
    events, is_over = at.events("t") or ([], False)
    assert is_over
    assert [event["ended"] for event in events] == ["failed"]


def test_a_new_broker_lets_older_slots_keep_what_they_hold() -> None:
    held = work("t", "x", "y")
    at = Broker(now=100.0, grace_s=3.0)
    at.submit(held)  # the proxy asks again
    assert at.lease("b", process_of(at, "b"), now=101.0) is None  # not yet: somebody may hold it
    assert at.heartbeat("a", held, is_training=True, now=102.0)
    assert at.lease("b", process_of(at, "b"), now=104.0) is None
    end(at, held)
    assert at.events("t") == ([{"train_id": n, "ended": "finished"} for n in ("x", "y")], True)


def test_a_slot_that_tells_a_new_broker_late_keeps_what_nobody_has_taken() -> None:
    """A micro-batch of a large backbone, or a batch of questions, takes longer than a new broker waits."""
    held, other = work("t", "x"), work("u", "y")
    at = Broker(now=100.0, grace_s=3.0)
    at.submit(other)
    at.submit(held)
    at.register("b", "1", {}, now=100.0)
    assert leased(at, "b", 103.0) == other
    assert at.heartbeat("a", held, is_training=True, now=110.0)
    assert not at.heartbeat("c", other, is_training=True, now=110.0)  # that was given away
    at.finish("b", other)
    assert list(leased(at, "b", 111.0).specs) == ["y"]
    at.end_slot("a", Overdue(reason="silent", is_timeout=False), now=120.0)
    at.register("a", "2", {}, now=130.0)
    assert not at.heartbeat("a", held, is_training=True, now=131.0)  # its dead process


def test_what_a_slot_holds_alone_of_a_ticket_leaves_the_others_in_the_queue() -> None:
    """A pack that failed together is tried trial by trial; its proxy asks a new broker for all of it."""
    at = Broker(now=100.0, grace_s=3.0)
    at.submit(work("t", "x", "y", "z"))
    assert at.heartbeat("a", replace(work("t", "y"), attempt=2), is_training=True, now=101.0)
    assert list(leased(at, "b", 104.0).specs) == ["x", "z"]


def test_an_end_that_comes_before_the_ticket_is_kept_for_it() -> None:
    at = Broker(now=100.0, grace_s=3.0)
    held = work("t", "x")
    at.heartbeat("a", held, is_training=True, now=100.0)
    end(at, held)
    at.finish("a", held)
    at.submit(held)
    assert at.events("t") == ([{"train_id": "x", "ended": "finished"}], True)
    at.register("b", "2", {}, now=104.0)
    assert at.lease("b", process_of(at, "b"), now=104.0) is None


def test_a_trial_asked_for_under_two_tickets_is_done_once_and_told_to_both() -> None:
    at = broker("a", "b")
    at.submit(work("t", "x"))
    held = leased(at, "a")
    at.submit(work("u", "x"))  # its first proxy died
    assert at.lease("b", process_of(at, "b"), now=0.0) is None
    end(at, held)
    assert at.events("t") == at.events("u") == ([{"train_id": "x", "ended": "finished"}], True)


def test_a_closed_broker_hands_out_nothing() -> None:
    at = broker("a")
    at.submit(work("t", "x"))
    at.is_closed = True
    assert at.lease("a", process_of(at, "a"), now=0.0) is None


def test_what_is_handed_over_counts_no_attempt_and_stays_together() -> None:
    at = broker("a", "b")
    at.submit(work("t", "x", "y", "z"))
    at.submit(work("later", "w"))
    for _ in range(MAX_ATTEMPTS + 1):
        held = leased(at, "a")
        at.finish("a", held, is_handed_over=True)
    again = leased(at, "b")
    assert (list(again.specs), again.attempt) == (["x", "y", "z"], 1)
    end(at, again, "y")
    at.finish("b", again, is_handed_over=True)
    assert list(leased(at, "a").specs) == ["x", "z"]


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 12))
def test_whatever_dies_every_trial_has_one_end(seed: int, num_slots: int, num_trials: int) -> None:
    rng = random.Random(seed)
    slots = [f"s{i}" for i in range(num_slots)]
    at, now = broker(*slots), 0.0
    names = [f"x{i}" for i in range(num_trials)]
    tickets: list[str] = []
    while names:
        size = rng.randint(1, 3)
        tickets.append(f"t{len(tickets)}")
        at.submit(work(tickets[-1], *names[:size]))
        names = names[size:]
    held: dict[str, Work] = {}
    ends: dict[str, list[str]] = {}
    done: set[str] = set()
    for _ in range(2_000):
        now += 1.0
        slot = rng.choice(slots)
        action = rng.random()
        if slot not in held:
            if (found := at.lease(slot, process_of(at, slot), now=now)) is not None:
                assert not done & set(found.specs), "handed out although it has ended"
                assert not {n for h in held.values() for n in h.specs} & set(found.specs), "handed out twice"
                held[slot] = found
        elif action < 0.2:  # the process dies
            at.register(slot, "2", {}, now=now)
            del held[slot]
        elif action < 0.6:
            left = [n for n in held[slot].specs if n not in done]
            if left:
                done.add(left[0])
                end(at, held[slot], left[0])
        elif all(n in done for n in held[slot].specs):
            at.finish(slot, held.pop(slot))
        collect(at, tickets, ends)
        if not tickets:
            break
    assert not tickets, "a ticket without an end"
    assert sorted(ends) == sorted(f"x{i}" for i in range(num_trials))
    assert all(len(found) == 1 for found in ends.values())


def collect(at: Broker, tickets: list[str], ends: dict[str, list[str]]) -> None:
    for ticket in list(tickets):
        news: tuple[list[dict[str, Any]], bool] | None = at.events(ticket)
        if news is None:
            pytest.fail("a ticket was forgotten")
        for event in news[0]:
            ends.setdefault(event["train_id"], []).append(event["ended"])
        if news[1]:
            tickets.remove(ticket)


def test_a_slot_that_asks_for_a_place_anew_has_none() -> None:
    """Else slots that let it choose first would take it for placed."""
    broker = Broker(now=0.0)
    broker.register("a", "1", {}, now=0.0)
    assert broker.is_wanted("a", now=1.0, is_alive=True)
    assert "a" in broker.slots
    assert broker.is_wanted("a", now=2.0, is_alive=False)
    assert "a" not in broker.slots
