"""The slots of a study: starts them, keeps them alive, ends them."""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datasets_spec.errors import UserError
from trainers.executors.resources import TrialResources, fits_fewer_nodes, free_room, why_none_placed, worker_resources
from trainers.executors.run_errors import has_no_room, reason_of
from trainers.executors.slot import SlotConfig, serve_slot

READY_WAIT_S = 30.0  # between two words to a user who waits for the first slot
LONG_WAIT_S = 120.0  # without any, after which it is said whether a node could hold one: four times a start
CLOSE_WAIT_S = 20.0
USE_POLL_S = 1.0  # how soon a slot that has no place hears that there is work again
TURN_S = 60.0  # for which a slot leaves the choice of nodes to those that fit fewer: twice a start (docs/benchmarks.md)
HAND_OVER_S = 8.0  # of the ten seconds in which a study that is stopped ends
# Processes of one slot that may end in a row before they have taken a trial, or that say they cannot work: by then it
# is no accident. Deaths with a trial in hand are counted against that trial (`broker.MAX_ATTEMPTS`), so that restarts
# come to an end either way.
MAX_FAILED_STARTS = 3
RETRY_S = 30.0  # after which a slot that could not work is started again


@dataclass(kw_only=True, slots=True)
class _Tries:
    """How often in a row processes of a slot were of no use."""

    num_failed: int = 0
    _taken: int = 0
    _done: int = 0

    def count(self, name: str, state: Mapping[str, Any], *, has_died: bool, is_unable: bool) -> None:
        """Count a process that has ended; who ended by itself without a word was recycled, or its node is taken away.

        Args:
            name: of the slot.
            state: of the broker.
            has_died: whether it did not end by itself.
            is_unable: whether it has said that it cannot work.
        """
        taken, done = state["num_leases"].get(name, 0), state["num_done"].get(name, 0)
        if done != self._done or (taken != self._taken and not is_unable):
            self.num_failed = 0
        if is_unable or (has_died and taken == self._taken):
            self.num_failed += 1
        self._taken, self._done = taken, done


@dataclass(kw_only=True)
class SlotPool:
    """Long-lived Ray Train runs, one a slot, that lease trials from a broker.

    Attributes:
        slots: resources of each slot's worker.
        make_config: returns what the slot of a name is given, for the broker's handle.
        storage: folder for Ray Train's own files.
        say: tells the user one line.
        label: what the dashboard shows before the names of slots and broker.
        on_state: told the broker's state at every look at it.
        num_away: how many blocks of rows went with their nodes and wait to be encoded anew.
        spare_s: after so long without work a slot gives its place back, and asks again when there is work; None where
            nodes do not come and go by need: there it would gain a restart.
    """

    slots: Sequence[TrialResources]
    make_config: Callable[[str, Any], SlotConfig]
    storage: str
    say: Callable[[str], None]
    label: str = "recombine"
    on_state: Callable[[Mapping[str, Any]], None] = lambda state: None
    num_away: Callable[[], int] = lambda: 0
    spare_s: float | None = None
    broker: Any = None
    _threads: list[threading.Thread] = field(default_factory=list)
    _untold: deque[str] = field(default_factory=deque)  # lines of the slots' threads
    _unplaced_since: dict[str, float] = field(default_factory=dict)  # slots that others let choose first
    _given_up: set[str] = field(default_factory=set)
    _without_since: float | None = None  # there has been no slot
    _waiting_told_at: float = -math.inf
    _away_told_at: float = -math.inf
    _is_closing: bool = False

    def start(self) -> None:
        """Start the broker and all slots; returns before they are ready."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from trainers.executors.broker_actor import BrokerActor

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(BrokerActor)
        self.broker = actor.options(name=f"{self.label}-broker-{uuid.uuid4().hex[:8]}").remote(self.spare_s)
        for number, resources in enumerate(self.slots):
            name = f"slot-{number}"
            thread = threading.Thread(target=self._keep, args=(name, resources), name=f"recombine-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def wait_ready(self) -> Mapping[str, Any]:
        """Wait for the first slot; return what it said of itself.

        Raises:
            UserError: no slot can work, and why.
        """
        while not (state := self.check())["slots"]:
            time.sleep(0.1)
        about: Mapping[str, Any] = next(iter(state["slots"].values()))
        return about

    def check(self) -> Mapping[str, Any]:
        """Return the broker's state; tell the user which slots were started again, and when none has a place.

        Raises:
            UserError: no slot can work, and why.
        """
        import ray

        while self._untold:
            self.say(self._untold.popleft())
        state: Mapping[str, Any] = ray.get(self.broker.state.remote())
        self.on_state(state)
        if state["fatal"] is not None:
            raise UserError(
                f"no slot can work: {state['fatal']}",
                hint="`recombine doctor` checks the machine; `execution.executor=nested` runs each trial by itself",
            )
        self._tell_of_waiting(state)
        return state

    def _tell_of_waiting(self, state: Mapping[str, Any]) -> None:
        """Say now and then that there is no slot though there should be, and after long why there may be none."""
        now = time.monotonic()
        if state["slots"] or len(state["resting"]) + len(self._given_up) == len(self.slots):
            self._without_since = None
            return
        self._without_since = since = now if self._without_since is None else self._without_since
        if now - max(since, self._waiting_told_at) <= READY_WAIT_S:
            return
        self._waiting_told_at = now
        wanted = " or ".join(dict.fromkeys(str(worker_resources(each)) for each in self.slots))
        self.say(f"waiting for a slot: each needs {wanted}; free are {free_room()}")
        if now - since > LONG_WAIT_S:
            self.say(why_none_placed(self.slots))

    def hand_over(self) -> None:
        """Let the slots save what they hold, and end; returns when they have, or their time is over."""
        import ray

        if self.broker is None:
            return
        self._is_closing = True
        ends_at = time.monotonic() + HAND_OVER_S
        try:
            ray.get(self.broker.hand_over.remote(), timeout=HAND_OVER_S)
            while time.monotonic() < ends_at:
                if not ray.get(self.broker.state.remote(), timeout=HAND_OVER_S)["held"]:
                    break
                time.sleep(0.1)
        except ray.exceptions.RayError:
            return  # the cluster goes too; what was saved before counts

    def close(self) -> None:
        """Send the slots home and free their resources; what they still hold is finished first."""
        import ray

        if self.broker is None:
            return
        self._is_closing = True
        try:
            ray.get(self.broker.close.remote(), timeout=CLOSE_WAIT_S)
            ends_at = time.monotonic() + CLOSE_WAIT_S  # of all together: nodes are paid meanwhile
            for thread in self._threads:
                thread.join(timeout=max(0.0, ends_at - time.monotonic()))
        except ray.exceptions.RayError:
            pass  # the cluster has gone before us
        finally:
            ray.kill(self.broker)
            self.broker = None

    def _keep(self, name: str, resources: TrialResources) -> None:
        """Run a slot's process, and another after it, until the pool closes or too many could not work."""
        import ray

        tries = _Tries()
        while not self._is_closing:
            try:
                self._await_use(name)
                self._await_rows()
                self._await_turn(resources)
                reason = None if self._is_closing else self._run_once(name, resources)
                if self._is_closing or (reason is not None and has_no_room(reason)):
                    continue  # where the cluster is full, or a node is on its way, the request for room is renewed
                state = ray.get(self.broker.state.remote())
                words, is_passing = state["last_words"].get(name, (None, True))
                is_unable = not is_passing
                tries.count(name, state, has_died=reason is not None, is_unable=is_unable)
            except BaseException:  # noqa: BLE001 - Ray ends a thread by SystemExit when the cluster goes
                return
            if state["fatal"] is not None:
                return
            if (why := words or reason) is None:
                continue
            if tries.num_failed >= MAX_FAILED_STARTS:
                self._give_up(name, why, is_unable=is_unable)
                return
            idle = (
                f", {tries.num_failed} of {MAX_FAILED_STARTS} times before it took a trial" if tries.num_failed else ""
            )
            self._untold.append(f"{name} ended ({why}{'' if is_unable else idle}); it is started again")
            if is_unable:
                self._pause()

    def _give_up(self, name: str, why: str, *, is_unable: bool) -> None:
        """Go on with the other slots; where none is left, or none has ever worked, the study cannot."""
        import ray

        self._given_up.add(name)
        took = "could not work" if is_unable else "took no trial"
        words = f"{name} was started {MAX_FAILED_STARTS} times and {took} ({why}); see `ray logs`"
        ray.get(self.broker.give_up.remote(name))
        ray.get(self.broker.say_why.remote(name, words, for_all=True))
        if num_left := len(self.slots) - len(self._given_up):
            self._untold.append(f"{words}; it is given up, {num_left} of {len(self.slots)} slots are left")
        else:
            ray.get(self.broker.fail.remote(words))

    def _pause(self) -> None:
        """Let what hinders a slot pass: a card that a dead process still holds, storage that is away."""
        ends_at = time.monotonic() + RETRY_S
        while not self._is_closing and time.monotonic() < ends_at:
            time.sleep(USE_POLL_S)

    def _await_use(self, name: str) -> None:
        """Wait until the queue has use for a slot; one that waits here holds no place and no process."""
        import ray

        is_wanted = ray.get(self.broker.is_wanted.remote(name))
        if is_wanted:
            return
        self._untold.append(f"{name} has nothing to do: its place is given back until there is work")
        while not self._is_closing and not is_wanted:
            time.sleep(USE_POLL_S)
            is_wanted = ray.get(self.broker.is_wanted.remote(name))
        if is_wanted:
            self._untold.append(f"{name} has work again: it asks for a place")

    def _await_turn(self, resources: TrialResources) -> None:
        """Let slots that fit fewer nodes find theirs first: Ray gives a slot any node with room, chosen by chance.

        One that has been without a place for long, because no node holds it, delays nobody again.
        """
        import ray

        first = {f"slot-{number}" for number, each in enumerate(self.slots) if fits_fewer_nodes(each, resources)}
        while first and not self._is_closing:
            state = ray.get(self.broker.state.remote())
            now, placed = time.monotonic(), state["slots"].keys() | set(state["resting"])
            for name in first & placed:
                self._unplaced_since.pop(name, None)
            if not any(now - self._unplaced_since.setdefault(name, now) < TURN_S for name in first - placed):
                return
            time.sleep(USE_POLL_S)

    def _await_rows(self) -> None:
        """Let rows that went with a node be encoded anew: a slot might take the room for it, and wait for them."""
        while not self._is_closing and (num_away := self.num_away()):
            now = time.monotonic()
            if now - self._away_told_at > READY_WAIT_S:
                self._away_told_at = now
                self._untold.append(
                    f"kept vision features went with a node (blocks: {num_away}): they are encoded anew before a slot "
                    "starts, which needs half a processor twice, and a GPU where slots have one"
                )
            time.sleep(USE_POLL_S)

    def _run_once(self, name: str, resources: TrialResources) -> str | None:
        """Run one process of a slot to its end; return why it died, None when it ended by itself."""
        import ray
        import ray.train
        from ray.train.torch import TorchTrainer

        from trainers.executors.process_group import torch_config

        measured = ray.get(self.broker.state.remote())["measured"].get(name)
        slot = replace(self.make_config(name, self.broker), measured=measured, resources=resources)
        trainer = TorchTrainer(
            serve_slot,
            train_loop_config={"slot": slot},
            torch_config=torch_config(1, nodes_go=self.spare_s is not None),
            scaling_config=ray.train.ScalingConfig(
                num_workers=1,
                use_gpu=resources.gpus_per_worker > 0,
                resources_per_worker=worker_resources(resources),
            ),
            run_config=ray.train.RunConfig(
                name=f"{self.label}-{name}-{uuid.uuid4().hex[:8]}",  # a reused name silently resumes stale state
                storage_path=self.storage,
                # Train would start a dead worker again without a word and without an end: `_keep` does, and counts.
                failure_config=ray.train.FailureConfig(max_failures=0, controller_failure_limit=3),
            ),
        )
        try:
            trainer.fit()
        except Exception as error:
            if self._is_closing or not ray.is_initialized():
                raise
            return reason_of(error)
        return None
