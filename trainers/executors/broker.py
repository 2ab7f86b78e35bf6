"""Who works on what: tickets of trials wait, slots lease them, leases end.

Plain state without Ray, clock or threads (`broker_actor` adds these). Nothing here needs to survive: whoever submitted
a ticket submits it again to a new broker, a slot tells it what it holds, and what has finished lies in RUN/trials.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

# A slot that says nothing for so long is taken for dead and its trials go to others (a step of a large model and a
# batch of scoring are far shorter).
LEASE_S = 300.0
# A new broker hands out nothing for so long: slots that outlived the old one tell what they hold first.
GRACE_S = 3.0
# Time after a trial's own deadline in which its slot may end it by itself (issue 5).
DEADLINE_MARGIN_S = 10.0
# For how long a slot may have nothing to do before its place is given back, where nodes come and go by need: twice what
# a slot takes to start (docs/benchmarks.md), and no longer than autoscalers wait for an idle node (KubeRay: 60 s).
SPARE_S = 60.0
# Of one trial, when the process that holds it dies; as many as Train's retries elsewhere. A process that has brought it
# further does not count: a trial of hours may meet any number of spot nodes.
MAX_ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """Trials that one slot trains together.

    Attributes:
        ticket: whose trials they are.
        specs: dumped trial specs, by train_id.
        submitted_at: `time.time()` when they were asked for.
        attempt: 1, 2, ...; from the second on a trial is alone.
        timeout_s: training time of one trial, None without a limit.
    """

    ticket: str
    specs: Mapping[str, Mapping[str, Any]]
    submitted_at: float
    attempt: int = 1
    timeout_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Overdue:
    """Why a slot must be ended.

    Attributes:
        reason: in words.
        is_timeout: its trial is past its own deadline; a slot that is silent may wait for what others must bring.
    """

    reason: str
    is_timeout: bool


@dataclass(kw_only=True, slots=True)
class Lease:
    """Work in a slot's hands."""

    work: Work
    heard_at: float
    training_since: float | None = None  # None while it loads, scores or writes
    has_saved: bool = False  # a checkpoint that is later than any before
    ended: set[str] = field(default_factory=set)  # train_ids whose end was told: who asks again is not answered by it


@dataclass(kw_only=True, slots=True)
class _Ticket:
    open: set[str]  # train_ids without an end
    events: deque[dict[str, Any]] = field(default_factory=deque)


class Broker:
    """Tickets, slots and leases.

    Args:
        now: seconds of a clock that only goes forward, as every other `now` here.
        grace_s: for how long nothing is handed out.
        spare_s: after so long without work a slot is sent home; None keeps all.
    """

    def __init__(self, *, now: float, grace_s: float = 0.0, spare_s: float | None = None) -> None:
        self._tickets: dict[str, _Ticket] = {}
        self._processes: dict[str, str] = {}  # slot -> its last process
        self._decisions: dict[tuple[str, int], bool] = {}
        self._early: dict[str, list[dict[str, Any]]] = {}
        self._waiting: deque[Work] = deque()
        self._leases: dict[str, Lease] = {}
        self._opens_at = now + grace_s
        self._spare_s = spare_s
        self._spare_since: dict[str, float] = {}  # slots that are idle or on their way
        self._num_asked: dict[str, int] = {}  # how often a slot on its way has asked for a place
        self.resting: set[str] = set()  # slots that were sent home until there is work
        self.slots: dict[str, dict[str, Any]] = {}  # what each living slot said of itself
        self.measured: dict[str, Any] = {}  # what each slot's last process that lived to tell it measured
        self.num_leases: dict[str, int] = {}  # works that each slot has taken so far
        self.num_done: dict[str, int] = {}  # of these, what it has done with and not handed over
        # Why the last process of a slot has left, where it said so, and whether that passes by itself.
        self.last_words: dict[str, tuple[str, bool]] = {}
        self._furthest: dict[str, int] = {}  # the step of each trial's latest checkpoint
        self.num_retried = 0  # trials tried again because a process died
        self.num_handed_over = 0
        self.is_closed = False
        self.fatal: str | None = None

    def submit(self, work: Work) -> None:
        """Queue the trials of a ticket; a ticket that is known is not queued again."""
        if work.ticket in self._tickets:
            return
        early = self._early.pop(work.ticket, [])
        ended = {event["train_id"] for event in early if "ended" in event}
        self._tickets[work.ticket] = _Ticket(open=set(work.specs) - ended, events=deque(early))
        held = {
            train_id for lease in self._leases.values() for train_id in lease.work.specs if train_id not in lease.ended
        }
        self._waiting.extend(_without([work], held | ended))

    def register(self, slot: str, process: str, about: Mapping[str, Any], *, now: float) -> None:
        """A slot's process is new: what its predecessor held is queued again."""
        self._lose(slot, reason="its worker processes died", now=now)
        self._processes[slot] = process
        self._forget(slot)
        self.slots[slot] = dict(about)
        self.measured[slot] = about.get("measured")

    def is_current(self, slot: str, process: str) -> bool:
        """Whether a process is the slot's last one; a broker that does not know the slot believes the first to ask."""
        return self._processes.setdefault(slot, process) == process

    def lease(self, slot: str, process: str, *, now: float) -> Work | None:
        """Give a slot the work that has waited longest, if there is any.

        A question of a process that has died meanwhile gets nothing: it may still be waiting for an answer.
        """
        if not self.is_current(slot, process):
            return None
        if self.is_closed or now < self._opens_at or not self._waiting or slot in self._leases:
            return None
        work = self._waiting.popleft()
        self._spare_since.pop(slot, None)
        self._leases[slot] = Lease(work=work, heard_at=now)
        self.num_leases[slot] = self.num_leases.get(slot, 0) + 1
        return work

    def is_wanted(self, slot: str, *, now: float, is_alive: bool) -> bool:
        """Whether a slot that holds nothing should stay, or come; it is sent home where nothing has needed it for long.

        One that works, or could at once, always stays: the next phase of a study would wait for its start. One that
        asks again without having come has found no place: nobody stays at home because of it.
        """
        if not is_alive:
            self._lose(slot, reason="its worker processes died", now=now)
            self.slots.pop(slot, None)
            self.last_words.pop(slot, None)
        if self._spare_s is None:
            return True
        others = [name for name in self._spare_since if name != slot and self._num_asked.get(name, 0) < 2]
        if len(self._waiting) > len(others):
            self.resting.discard(slot)
            self._spare_since[slot] = now
        if slot in self.resting:
            return False
        is_spare = now - self._spare_since.setdefault(slot, now) >= self._spare_s
        if not is_spare or not self.slots.keys() - {slot}:
            if not is_alive:
                self._num_asked[slot] = self._num_asked.get(slot, 0) + 1
            return True
        self.resting.add(slot)
        del self._spare_since[slot]
        self._num_asked.pop(slot, None)
        self.slots.pop(slot, None)
        return False

    def heartbeat(self, slot: str, work: Work, *, is_training: bool, now: float) -> bool:
        """A slot is alive and holds `work`; returns False when it must drop it."""
        lease = self._leases.get(slot)
        is_older = slot not in self.slots and slot not in self._processes
        if lease is None and is_older and (now < self._opens_at or self._is_waiting(work)):
            # The lease is older than this broker too, and nobody has had its trials since.
            self.slots[slot] = {}
            lease = self._leases[slot] = Lease(work=work, heard_at=now)
            self._waiting = deque(_without(self._waiting, work.specs.keys()))
        if lease is None or lease.work != work:
            return False
        lease.heard_at = now
        if not is_training:
            lease.training_since = None
        elif lease.training_since is None:
            lease.training_since = now
        return True

    def saved(self, slot: str, train_id: str, step: int) -> None:
        """A slot has saved a trial at a step, after training it."""
        lease = self._leases.get(slot)
        if lease is not None and train_id in lease.work.specs and step > self._furthest.get(train_id, 0):
            self._furthest[train_id] = step
            lease.has_saved = True

    def say_why(self, slot: str, words: str, *, for_all: bool = False, is_passing: bool = False) -> None:
        """A slot's process leaves for a reason that the user must hear.

        Args:
            slot: its name.
            words: the reason.
            for_all: whether it may stand for every slot: then it does, where none has ever been ready.
            is_passing: whether it passes by itself: then it says nothing against the slot.
        """
        self.last_words[slot] = (words, is_passing)
        if for_all and not (self._processes or self._leases):  # a broker that was restarted knows of leases first
            self.fatal = words

    def give_up(self, slot: str, *, now: float) -> None:
        """A slot is not started again."""
        self._lose(slot, reason="its slot could not go on", now=now)
        self._forget(slot)
        self.resting.discard(slot)
        self.slots.pop(slot, None)

    def report(self, ticket: str, event: Mapping[str, Any]) -> None:
        """Pass something on to whoever waits for the trial; an event with `ended` is its last."""
        # A trial may have been asked for again, under another ticket, while a slot already had it.
        for lease in self._leases.values():
            if "ended" in event and lease.work.ticket == ticket:
                lease.ended.add(event["train_id"])
        waiting = [state for state in self._tickets.values() if event["train_id"] in state.open]
        if not waiting:  # the slot is older than this broker, and faster than who submits again
            self._early.setdefault(ticket, []).append(dict(event))
        for state in waiting:
            state.events.append(dict(event))
            if "ended" in event:
                state.open.discard(event["train_id"])

    def finish(self, slot: str, work: Work, *, is_handed_over: bool = False, is_unable: bool = False) -> None:
        """A slot has done with its work; trials without an end in it are queued again.

        Work that was handed over was saved by a slot that had to leave: no attempt of it has failed. What the slot was
        unable to go on with is queued last: the next slot would be, too.
        """
        lease = self._leases.get(slot)
        if lease is None or lease.work != work:
            return  # another process of this slot may hold other work by now
        del self._leases[slot]
        if not is_handed_over:
            self.num_done[slot] = self.num_done.get(slot, 0) + 1
            self._requeue(work, reason="its slot gave it back")
        elif left := self._open_in(work):
            self.num_handed_over += len(left)
            again = replace(work, specs={train_id: work.specs[train_id] for train_id in left})
            if is_unable:
                self._waiting.append(again)
            else:
                self._waiting.appendleft(again)

    def events(self, ticket: str) -> tuple[list[dict[str, Any]], bool] | None:
        """Take a ticket's new events, and whether these were the last; None for a ticket that is not known."""
        state = self._tickets.get(ticket)
        if state is None:
            return None
        taken = list(state.events)
        state.events.clear()
        is_over = not state.open
        if is_over:
            del self._tickets[ticket]
        return taken, is_over

    def decide(self, train_id: str, step: int, *, goes_on: bool) -> None:
        """Say whether a trial goes on after a rung."""
        self._decisions[(train_id, step)] = goes_on

    def decision(self, train_id: str, step: int) -> bool | None:
        """Return what was decided, or None while nothing was."""
        return self._decisions.get((train_id, step))

    def overdue(self, *, now: float) -> dict[str, Overdue]:
        """Return the slots that must be ended, and why."""
        late: dict[str, Overdue] = {}
        for slot, lease in self._leases.items():
            since, limit = lease.training_since, lease.work.timeout_s
            if now - lease.heard_at > LEASE_S:
                late[slot] = Overdue(reason=f"nothing was heard of its slot for {LEASE_S:.0f} s", is_timeout=False)
            elif limit is None or since is None:
                continue
            elif now - since > limit * len(lease.work.specs) + DEADLINE_MARGIN_S:
                late[slot] = Overdue(reason="past the deadline", is_timeout=True)
        return late

    def end_slot(self, slot: str, overdue: Overdue, *, now: float) -> None:
        """A slot was ended because it was overdue: its trial has had its time, or is tried again."""
        self._lose(slot, reason=overdue.reason, now=now, is_timeout=overdue.is_timeout)
        self.slots.pop(slot, None)

    @property
    def num_waiting(self) -> int:
        """Trials that wait for a slot."""
        return sum(len(work.specs) for work in self._waiting)

    def held(self) -> dict[str, Sequence[str]]:
        """Return the train_ids in every slot's hands."""
        return {slot: list(lease.work.specs) for slot, lease in self._leases.items()}

    def _is_waiting(self, work: Work) -> bool:
        return work.specs.keys() <= {train_id for waiting in self._waiting for train_id in waiting.specs}

    def _lose(self, slot: str, *, reason: str, now: float, is_timeout: bool = False) -> None:
        lease = self._leases.pop(slot, None)
        if lease is not None:
            work = replace(lease.work, attempt=0) if lease.has_saved else lease.work
            self._requeue(work, reason=reason, is_timeout=is_timeout)

    def _forget(self, slot: str) -> None:
        """Neither idle nor on its way any more."""
        self._spare_since.pop(slot, None)
        self._num_asked.pop(slot, None)

    def _open_in(self, work: Work) -> list[str]:
        state = self._tickets.get(work.ticket)
        return [train_id for train_id in work.specs if state is not None and train_id in state.open]

    def _requeue(self, work: Work, *, reason: str, is_timeout: bool = False) -> None:
        """Queue what has no end yet, each trial alone, first in the queue; one that was alone too often ends."""
        is_alone = len(work.specs) == 1
        for train_id in reversed(self._open_in(work)):
            if is_alone and (is_timeout or work.attempt >= MAX_ATTEMPTS):
                status = "timeout" if is_timeout else "failed"
                self.report(work.ticket, {"train_id": train_id, "ended": status, "error": reason})
            else:
                again = replace(work, specs={train_id: work.specs[train_id]}, attempt=work.attempt + 1)
                self._waiting.appendleft(again)
                self.num_retried += 1


def _without(works: Iterable[Work], taken: Set[str]) -> Iterator[Work]:
    """Works without some trials, those that have others."""
    for work in works:
        if left := {train_id: spec for train_id, spec in work.specs.items() if train_id not in taken}:
            yield replace(work, specs=left)
