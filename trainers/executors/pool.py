"""The slots of a study: starts them, keeps them alive, ends them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets_spec.errors import UserError
from trainers.executors.resources import TrialResources, worker_resources
from trainers.executors.slot import SlotConfig, serve_slot

READY_WAIT_S = 30.0  # between two words to a user who waits for the first slot
CLOSE_WAIT_S = 20.0
# Train runs of one slot that may end in a row without a ready worker: by then it is no accident.
MAX_FAILED_STARTS = 3


@dataclass(kw_only=True)
class SlotPool:
    """Long-lived Ray Train runs, one a slot, that lease trials from a broker.

    Attributes:
        num_slots: how many.
        resources: of each slot's workers.
        make_config: returns what the slot of a name is given, for the broker's handle.
        storage: folder for Ray Train's own files.
        say: tells the user one line.
    """

    num_slots: int
    resources: TrialResources
    make_config: Callable[[str, Any], SlotConfig]
    storage: str
    say: Callable[[str], None]
    broker: Any = None
    _threads: list[threading.Thread] = field(default_factory=list)
    _is_closing: bool = False

    def start(self) -> None:
        """Start the broker and all slots; returns before they are ready."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from trainers.executors.broker_actor import BrokerActor

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(BrokerActor)
        self.broker = actor.remote()
        for number in range(self.num_slots):
            thread = threading.Thread(
                target=self._keep, args=(f"slot-{number}",), name=f"recombine-slot-{number}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def wait_ready(self) -> Mapping[str, Any]:
        """Wait for the first slot; return what it said of itself.

        Raises:
            UserError: no slot can work, and why.
        """
        import ray

        told_at = time.monotonic()
        while True:
            state = self.check()
            if state["slots"]:
                about: Mapping[str, Any] = next(iter(state["slots"].values()))
                return about
            if time.monotonic() - told_at > READY_WAIT_S:
                told_at = time.monotonic()
                wanted = worker_resources(self.resources)
                self.say(f"waiting for a slot: each needs {wanted}; free are {_free(ray.available_resources())}")
            time.sleep(0.1)

    def check(self) -> Mapping[str, Any]:
        """Return the broker's state.

        Raises:
            UserError: no slot can work, and why.
        """
        import ray

        state: Mapping[str, Any] = ray.get(self.broker.state.remote())
        if state["fatal"] is not None:
            raise UserError(
                f"no slot can work: {state['fatal']}",
                hint="`recombine doctor` checks the machine; `execution.executor=nested` runs each trial by itself",
            )
        return state

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

    def _keep(self, name: str) -> None:
        """Run a slot's Train run, and another after it, until the pool closes."""
        import ray

        failed = 0
        while not self._is_closing:
            try:
                was_ready = self._run_once(name)
            except BaseException as error:  # noqa: BLE001 - Ray ends a thread by SystemExit when the cluster goes
                if self._is_closing or not ray.is_initialized():
                    return
                was_ready, reason = False, type(error).__name__
            else:
                reason = "it ended before it was ready"
            failed = 0 if was_ready else failed + 1
            if failed >= MAX_FAILED_STARTS and not self._is_closing:
                message = f"{name} did not start in {failed} attempts ({reason}); see `ray logs`"
                ray.get(self.broker.fail.remote(message))
                return

    def _run_once(self, name: str) -> bool:
        """Return whether the slot was ready at some time of its run."""
        import ray
        import ray.train
        from ray.train.torch import TorchTrainer

        trainer = TorchTrainer(
            serve_slot,
            train_loop_config={"slot": self.make_config(name, self.broker)},
            scaling_config=ray.train.ScalingConfig(
                num_workers=max(1, self.resources.num_workers),
                use_gpu=self.resources.gpus_per_worker > 0,
                resources_per_worker=worker_resources(self.resources),
            ),
            run_config=ray.train.RunConfig(
                name=f"{name}-{uuid.uuid4().hex[:8]}",  # a reused name silently resumes stale state
                storage_path=self.storage,
                # Worker deaths are the trials' matter (the broker counts them), not a reason to give up the slot.
                failure_config=ray.train.FailureConfig(max_failures=-1, controller_failure_limit=3),
            ),
        )
        trainer.fit()
        return name in ray.get(self.broker.state.remote())["slots"]


def _free(resources: Mapping[str, float]) -> dict[str, float]:
    return {name: round(resources.get(name, 0.0), 2) for name in ("CPU", "GPU") if name in resources}
