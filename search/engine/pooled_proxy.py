"""The Tune trial of a pack: hands its trials to the broker and passes on what becomes of them; trains nothing."""

from __future__ import annotations

from typing import Any

import ray
from ray import tune

from trainers.executors.broker import Work


class PackProxy(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """One ticket of the broker. Tune keeps its process for the next (`reuse_actors`).

    Tune may start a process for a trial, give the trial to another one that is free first, and then drop the new one,
    whose `setup` runs all the same, perhaps after the trial has ended: only `step` asks for anything.
    """

    def setup(self, config: dict[str, Any], broker: Any = None) -> None:
        """Take a ticket."""
        self._broker = broker
        self.reset_config(config)

    def step(self) -> dict[str, Any]:
        """Ask for the ticket's trials and wait for news of them; done when all have ended."""
        while True:
            found = ray.get(self._broker.events.remote(self._work.ticket))
            if found == "unknown":  # not asked for yet, or the broker was restarted and has forgotten
                ray.get(self._broker.submit.remote(self._work))
            elif found is not None:
                events, is_over = found
                return {"status": "running", "events": events, "done": is_over}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next ticket in the same process."""
        self._work = Work(
            ticket=new_config["ticket"],
            specs=new_config["specs"],
            submitted_at=new_config["submitted_at"],
            timeout_s=new_config["timeout_s"],
        )
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the ledger and RUN/trials have it."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the ledger and RUN/trials have it."""
