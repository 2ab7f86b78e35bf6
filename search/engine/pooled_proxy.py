"""The process of a pack under the pooled executor: hands its trials to the broker and passes their news on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from search.engine.pack_process import PackProcess
from trainers.executors.broker import Work


class PackProxy(PackProcess):
    """One ticket of the broker; trains nothing."""

    def setup(self, config: dict[str, Any], num_processes: int = 1, broker: Any = None) -> None:
        """Take a ticket."""
        self._broker = broker
        super().setup(config, num_processes)

    def take(self, pack: Mapping[str, Any]) -> None:
        """Keep what will be asked for."""
        self._work = Work(
            ticket=pack["ticket"],
            specs=pack["specs"],
            submitted_at=pack["submitted_at"],
            timeout_s=pack["timeout_s"],
        )

    def news(self) -> tuple[Sequence[Mapping[str, Any]], bool]:
        """Ask for the ticket's trials and wait for news of them."""
        while True:
            found = ray.get(self._broker.events.remote(self._work.ticket))
            if found == "unknown":  # not asked for yet, or the broker was restarted and has forgotten
                ray.get(self._broker.submit.remote(self._work))
            elif found is not None:
                events, is_over = found
                return events, is_over
