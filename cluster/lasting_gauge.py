"""Gauges that are shown for as long as their process lives, and no longer."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

# A process tells a gauge's value once, at Ray's next report, and its node forgets it after two reports: with Ray's
# default of 10 s, 20 s after it was set (measured with 2.60). Reports are never less than a second apart.
REPEAT_S = 1.0


class LastingGauge:
    """A gauge of Ray that remembers its values, so that they can be told again.

    Args:
        gauge: Ray's own.
    """

    def __init__(self, gauge: Any) -> None:
        self._gauge = gauge
        self._values: dict[tuple[tuple[str, str], ...], float] = {}
        self._lock = threading.Lock()

    def set(self, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Show a value from now on."""
        key = tuple(sorted((tags or {}).items()))
        with self._lock:
            self._values[key] = value
            self._gauge.set(value, tags=dict(key))

    def repeat(self) -> None:
        """Tell the last values again."""
        with self._lock:
            for key, value in self._values.items():
                self._gauge.set(value, tags=dict(key))


class Repeater:
    """A thread that tells gauges again until it is stopped."""

    def __init__(self, gauges: Sequence[LastingGauge]) -> None:
        self._gauges = gauges
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="metrics", daemon=True)
        self._thread.start()

    def _repeat(self) -> None:
        while not self._is_stopped.wait(REPEAT_S):
            for gauge in self._gauges:
                gauge.repeat()

    def stop(self) -> None:
        """End the thread; to be done before Ray is left."""
        self._is_stopped.set()
        self._thread.join()
