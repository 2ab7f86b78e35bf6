"""The broker as a Ray actor: slots and proxies wait in it for each other."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from trainers.executors.broker import GRACE_S, Broker, Work

Beat = Literal["held", "leave", "lost"]
POLL_S = 20.0  # longest wait of one call; the caller asks again
WATCH_S = 0.5  # how often overdue slots are looked for


class BrokerActor:
    """Runs a `Broker` on this process's clock. All methods are coroutines of one thread.

    Args:
        spare_s: see `Broker`.
    """

    def __init__(self, spare_s: float | None = None) -> None:
        import ray

        was_restarted = ray.get_runtime_context().was_current_actor_reconstructed
        self._broker = Broker(now=time.monotonic(), grace_s=GRACE_S if was_restarted else 0.0, spare_s=spare_s)
        self._changed = asyncio.Condition()
        self._workers: dict[str, Any] = {}  # slot -> handle of its process
        self._watcher: asyncio.Task[None] | None = None
        self._is_handing_over = False

    async def submit(self, work: Work) -> None:
        """See `Broker.submit`."""
        self._broker.submit(work)
        await self._notify()

    async def register(self, slot: str, process: str, about: Mapping[str, Any], worker: Any) -> None:
        """A slot is ready; `worker` is the actor that it lives in."""
        self._broker.register(slot, process, about, now=time.monotonic())
        self._watch_over(slot, worker)
        await self._notify()

    async def lease(self, slot: str, process: str, worker: Any) -> Any:
        """Return work, None after a while without any, `close`, or `rest` where the slot is of no use for now."""
        if self._broker.is_current(slot, process):
            self._watch_over(slot, worker)

        def look() -> Any:
            if self._broker.is_closed or not self._broker.is_current(slot, process):
                return "close"
            now = time.monotonic()
            found = self._broker.lease(slot, process, now=now)
            return found if found is not None or self._broker.is_wanted(slot, now=now, is_alive=True) else "rest"

        return await self._wait(look)

    async def is_wanted(self, slot: str) -> bool:
        """See `Broker.is_wanted`; asked for a slot without a process."""
        is_wanted = self._broker.is_wanted(slot, now=time.monotonic(), is_alive=False)
        await self._notify()  # what its last process held may wait now
        return is_wanted

    async def saved(self, slot: str, train_id: str, step: int) -> None:
        """See `Broker.saved`."""
        self._broker.saved(slot, train_id, step)

    async def say_why(self, slot: str, words: str, for_all: bool = False, is_passing: bool = False) -> None:
        """See `Broker.say_why`."""
        self._broker.say_why(slot, words, for_all=for_all, is_passing=is_passing)
        await self._notify()

    async def give_up(self, slot: str) -> None:
        """See `Broker.give_up`."""
        self._broker.give_up(slot, now=time.monotonic())
        await self._notify()

    async def heartbeat(self, slot: str, work: Work, is_training: bool, worker: Any) -> Beat:
        """See `Broker.heartbeat`; `leave` asks the slot to save what it holds and to end."""
        if not self._broker.heartbeat(slot, work, is_training=is_training, now=time.monotonic()):
            return "lost"
        self._watch_over(slot, worker)
        return "leave" if self._is_handing_over else "held"

    async def report(self, ticket: str, event: Mapping[str, Any]) -> None:
        """See `Broker.report`."""
        self._broker.report(ticket, event)
        await self._notify()

    async def finish(self, slot: str, work: Work, is_handed_over: bool = False, is_unable: bool = False) -> None:
        """See `Broker.finish`."""
        self._broker.finish(slot, work, is_handed_over=is_handed_over, is_unable=is_unable)
        await self._notify()

    async def events(self, ticket: str) -> Any:
        """Return a ticket's new events and whether they are the last; `unknown`; None after a while without any."""

        def new() -> tuple[list[dict[str, Any]], bool] | str | None:
            found = self._broker.events(ticket)
            if found is None:
                return "unknown"
            return found if found[0] or found[1] else None

        return await self._wait(new)

    async def decide(self, train_id: str, step: int, goes_on: bool) -> None:
        """See `Broker.decide`."""
        self._broker.decide(train_id, step, goes_on=goes_on)
        await self._notify()

    async def decision(self, train_id: str, step: int) -> Any:
        """Return a decision (a bool), or None after a while without one."""
        return await self._wait(lambda: self._broker.decision(train_id, step))

    async def state(self) -> dict[str, Any]:
        """Return the slots, what they said of themselves, took and did, trials in hand, a fatal error if any."""
        return {
            "slots": dict(self._broker.slots),
            "held": self._broker.held(),
            "resting": sorted(self._broker.resting),
            "measured": dict(self._broker.measured),
            "num_leases": dict(self._broker.num_leases),
            "num_done": dict(self._broker.num_done),
            "last_words": dict(self._broker.last_words),
            "num_waiting": self._broker.num_waiting,
            "num_retried": self._broker.num_retried,
            "num_handed_over": self._broker.num_handed_over,
            "fatal": self._broker.fatal,
        }

    async def fail(self, reason: str) -> None:
        """No slot can work, and why."""
        self._broker.fatal = reason
        await self._notify()

    async def close(self) -> None:
        """Send the slots home."""
        self._broker.is_closed = True
        await self._notify()

    async def hand_over(self) -> None:
        """Send the slots home at their next step, with what they hold saved."""
        self._is_handing_over = True
        await self.close()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _wait(self, look: Callable[[], Any]) -> Any:
        """Return what `look` finds, looking again after every change; None after `POLL_S`."""
        ends_at = time.monotonic() + POLL_S
        async with self._changed:
            while (found := look()) is None and (left := ends_at - time.monotonic()) > 0:
                # The grace time of a new broker ends without a change, hence never wait for long.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), timeout=min(left, 1.0))
        return found

    def _watch_over(self, slot: str, worker: Any) -> None:
        """Know whom to end; told with every call, because a broker that was restarted has forgotten."""
        self._workers[slot] = worker
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        import ray

        while True:
            await asyncio.sleep(WATCH_S)
            now = time.monotonic()
            for slot, overdue in self._broker.overdue(now=now).items():
                self._broker.end_slot(slot, overdue, now=now)
                worker = self._workers.pop(slot, None)
                if worker is not None:
                    ray.kill(worker)  # its Train run starts another
                await self._notify()
