"""Whether a process keeps growing: the sign of a leak, for which a slot starts anew."""

from __future__ import annotations

import re
from pathlib import Path

MOST_GROWTH_GIB = 2.0


class MemoryGrowth:
    """Growth since the first work was done: what one trial takes from the system, the next takes too."""

    def __init__(self) -> None:
        self._base_gib: float | None = None

    def begin(self) -> None:
        """Count from now on, if nothing was counted yet."""
        if self._base_gib is None:
            self._base_gib = private_memory_gib()

    def is_too_much(self, kept_gib: float = 0.0) -> bool:
        """Whether the process should end; never before `begin`, or where the system does not say.

        Args:
            kept_gib: memory that is kept on purpose, within bounds of its own.
        """
        now_gib = private_memory_gib()
        if self._base_gib is None or now_gib is None:
            return False
        return now_gib - kept_gib - self._base_gib >= MOST_GROWTH_GIB


def private_memory_gib() -> float | None:
    """Return the memory that is this process's alone, as it is now; None where the system does not say (macOS).

    Rows in Ray's object store are shared by all slots of a machine: opening them is no growth.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
    return None if found is None else int(found.group(1)) / 2**20
