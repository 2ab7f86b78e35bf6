"""The slots of a study: starts them, keeps them alive, ends them."""

from __future__ import annotations

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
# Processes of one slot that may end in a row before they have taken a trial: by then it is no accident. Deaths with a
# trial in hand are counted against that trial (`broker.MAX_ATTEMPTS`), so that restarts come to an end either way.
MAX_FAILED_STARTS = 3


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
        num_away: how many blocks of rows went with their nodes and wait to be made anew.
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
    _away_told_at: float | None = None
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
        began = told_at = time.monotonic()
        while True:
            state = self.check()
            if state["slots"]:
                about: Mapping[str, Any] = next(iter(state["slots"].values()))
                return about
            if time.monotonic() - told_at > READY_WAIT_S:
                told_at = time.monotonic()
                wanted = " or ".join(dict.fromkeys(str(worker_resources(each)) for each in self.slots))
                self.say(f"waiting for a slot: each needs {wanted}; free are {free_room()}")
                if told_at - began > LONG_WAIT_S:
                    self.say(why_none_placed(self.slots))
            time.sleep(0.1)

    def check(self) -> Mapping[str, Any]:
        """Return the broker's state; tell the user which slots were started again.

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
        return state

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
            for thread in self._threads:
                thread.join(timeout=CLOSE_WAIT_S)
        except ray.exceptions.RayError:
            pass  # the cluster has gone before us
        finally:
            ray.kill(self.broker)
            self.broker = None

    def _keep(self, name: str, resources: TrialResources) -> None:
        """Run a slot's process, and another after it, until the pool closes or too many took no trial."""
        import ray

        failed, taken = 0, 0
        while not self._is_closing:
            try:
                self._await_use(name)
                self._await_turn(resources)
                self._await_rows()
                reason = None if self._is_closing else self._run_once(name, resources)
                if self._is_closing or (reason is not None and has_no_room(reason)):
                    continue  # where the cluster is full, or a node is on its way, the request for room is renewed
                state = ray.get(self.broker.state.remote())
            except BaseException:  # noqa: BLE001 - Ray ends a thread by SystemExit when the cluster goes
                return
            if state["fatal"] is not None:
                return
            now_taken = state["num_leases"].get(name, 0)
            if now_taken != taken:
                failed = 0
            elif reason is not None:  # who ended by itself was recycled, or its node is taken away
                failed += 1
            taken = now_taken
            if reason is None:
                continue
            if failed >= MAX_FAILED_STARTS:
                words = f"{name} was started {failed} times and took no trial ({reason}); see `ray logs`"
                ray.get(self.broker.fail.remote(words))
                return
            idle = f", {failed} of {MAX_FAILED_STARTS} times before it took a trial" if failed else ""
            self._untold.append(f"{name} ended ({reason}{idle}); it is started again")

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
        """Let rows that went with a node be made anew first: a slot might take the room for it, and wait for them."""
        while not self._is_closing and (num_away := self.num_away()):
            now = time.monotonic()
            if self._away_told_at is None or now - self._away_told_at > READY_WAIT_S:
                self._away_told_at = now
                blocks = "1 block" if num_away == 1 else f"{num_away} blocks"
                self._untold.append(
                    f"{blocks} of kept vision features went with a node and are encoded anew before a slot starts; "
                    f"free are {free_room()}"
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
