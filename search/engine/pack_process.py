"""The process of a Ray Tune trial, whose trials are packs of ours; Tune keeps it for the whole study."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from ray import tune

# How long a process without trials waits before it shows itself to Tune again: a share of the time it has been idle, at
# most so many seconds, but never less than lets all processes together come ten times a second (a result costs Tune's
# loop some milliseconds): with more than twenty processes that is the longer of the two.
IDLE_SHARE = 0.05
MAX_IDLE_S = 2.0
RESULTS_PER_S = 10.0


class PackProcess(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """Works on one pack, then waits until Tune has the next for it (`reuse_actors`, `PackSearcher.may_end`).

    Tune may start a process for a pack, give the pack to another one that is free first, and then drop the new one,
    whose `setup` runs all the same, perhaps after the pack has ended: only `step` works.
    """

    _over_since: float | None  # `time.monotonic()` when all trials had ended

    def setup(self, config: dict[str, Any], num_processes: int = 1) -> None:
        """Take a pack."""
        self._least_idle_s = num_processes / RESULTS_PER_S
        self.reset_config(config)

    @abstractmethod
    def take(self, pack: Mapping[str, Any]) -> None:
        """Be given a pack that has trials; its work begins with the first `news`."""

    @abstractmethod
    def news(self) -> tuple[Sequence[Mapping[str, Any]], bool]:
        """Wait for events of the pack's trials; returns them, and whether these were the last."""

    def step(self) -> dict[str, Any]:
        """Return news of the pack; when all its trials have ended, wait for Tune's leave."""
        if self._over_since is not None:
            return self._idle(time.monotonic() - self._over_since)
        events, is_over = self.news()
        self._over_since = time.monotonic() if is_over else None
        return {"status": "running", "events": events, "is_over": False}

    def _idle(self, idle_s: float) -> dict[str, Any]:
        if self._num_idle > 0:
            time.sleep(max(self._least_idle_s, min(MAX_IDLE_S, IDLE_SHARE * idle_s)))
        self._num_idle += 1
        return {"status": "running", "events": [], "is_over": True}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next pack in the same process."""
        self._over_since = None if new_config["specs"] else time.monotonic()
        self._num_idle = 0
        if new_config["specs"]:
            self.take(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the ledger and RUN/trials have it."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the ledger and RUN/trials have it."""
