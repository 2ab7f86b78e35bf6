"""The Tune trial of a pack: hands its trials to the broker and passes on what becomes of them; trains nothing."""

from __future__ import annotations

from typing import Any

import ray
from ray import tune

from trainers.executors.broker import Work


class PackProxy(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """One ticket of the broker. Tune keeps its process for the next (`reuse_actors`)."""

    def setup(self, config: dict[str, Any], broker: Any = None) -> None:
        """Submit the ticket."""
        self._broker = broker
        self._submit(config)

    def step(self) -> dict[str, Any]:
        """Wait for news of the ticket's trials; done when all have ended."""
        while True:
            found = ray.get(self._broker.events.remote(self._work.ticket))
            if found == "unknown":  # the broker was restarted and has forgotten
                ray.get(self._broker.submit.remote(self._work))
            elif found is not None:
                events, is_over = found
                return {"status": "running", "events": events, "done": is_over}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next ticket in the same process."""
        self._submit(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the ledger and RUN/trials have it."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the ledger and RUN/trials have it."""

    def _submit(self, config: dict[str, Any]) -> None:
        self._work = Work(
            ticket=config["ticket"],
            specs=config["specs"],
            submitted_at=config["submitted_at"],
            timeout_s=config["timeout_s"],
        )
        ray.get(self._broker.submit.remote(self._work))
