"""The Tune trial of a pack: hands its trials to the broker and passes on what becomes of them; trains nothing."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray import tune

from trainers.executors.broker import Work

# How long a proxy without trials waits before it shows itself to Tune again: a share of the time it has been idle, at
# most so many seconds, but never less than lets all proxies together come ten times a second (a result costs Tune's
# loop some milliseconds): with more than twenty proxies that is the longer of the two.
IDLE_SHARE = 0.05
MAX_IDLE_S = 2.0
RESULTS_PER_S = 10.0


class PackProxy(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """One ticket of the broker. Tune keeps its process for the next (`reuse_actors`).

    Tune may start a process for a trial, give the trial to another one that is free first, and then drop the new one,
    whose `setup` runs all the same, perhaps after the trial has ended: only `step` asks for anything.
    """

    _over_since: float | None  # `time.monotonic()` when all trials had ended

    def setup(self, config: dict[str, Any], broker: Any = None, num_proxies: int = 1) -> None:
        """Take a ticket."""
        self._broker = broker
        self._least_idle_s = num_proxies / RESULTS_PER_S
        self.reset_config(config)

    def step(self) -> dict[str, Any]:
        """Ask for the ticket's trials and wait for news of them; when all have ended, for Tune's leave (`may_end`)."""
        if self._over_since is not None:
            return self._idle(time.monotonic() - self._over_since)
        while True:
            found = ray.get(self._broker.events.remote(self._work.ticket))
            if found == "unknown":  # not asked for yet, or the broker was restarted and has forgotten
                ray.get(self._broker.submit.remote(self._work))
            elif found is not None:
                events, is_over = found
                self._over_since = time.monotonic() if is_over else None
                return {"status": "running", "events": events, "is_over": False}

    def _idle(self, idle_s: float) -> dict[str, Any]:
        if self._num_idle > 0:
            time.sleep(max(self._least_idle_s, min(MAX_IDLE_S, IDLE_SHARE * idle_s)))
        self._num_idle += 1
        return {"status": "running", "events": [], "is_over": True}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next ticket in the same process."""
        self._work = Work(
            ticket=new_config["ticket"],
            specs=new_config["specs"],
            submitted_at=new_config["submitted_at"],
            timeout_s=new_config["timeout_s"],
        )
        self._over_since = None if self._work.specs else time.monotonic()
        self._num_idle = 0
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the ledger and RUN/trials have it."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the ledger and RUN/trials have it."""
