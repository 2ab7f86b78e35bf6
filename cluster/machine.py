"""What this machine has: processors, memory, shared memory, as a container or scheduler lets us see it."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

GIB = 1024**3
_CGROUP = Path("/sys/fs/cgroup")
# By name, for this package imports none of them.
PACKAGES = ("search", "trainers", "datasets_spec", "cluster")


def count_cpus() -> int:
    """Processors this process may use: the affinity mask, cut by the container's CPU quota."""
    num_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fields = _read(_CGROUP / "cpu.max").split()
    if len(fields) == 2 and fields[0] != "max":
        num_cpus = min(num_cpus, max(1, math.floor(int(fields[0]) / int(fields[1]))))
    return max(1, num_cpus)


def total_memory_gib() -> float:
    """Memory of the machine, or of the container where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read(_CGROUP / "memory.max").strip()
    if limit.isdigit():
        total = min(total, int(limit))
    return total / GIB


def free_disk_gib(directory: Path) -> float:
    """Free space on the file system that holds `directory`."""
    return shutil.disk_usage(directory).free / GIB


def shared_memory_gib() -> float | None:
    """Free space in /dev/shm, where Ray keeps its shared blocks; None where there is none (macOS)."""
    shared = Path("/dev/shm")
    return free_disk_gib(shared) if shared.is_dir() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def find_origins(packages: Sequence[str]) -> dict[str, str]:
    """Where each package would be imported from; "" where it would not."""
    origins = {}
    for name in packages:
        spec = importlib.util.find_spec(name)
        origins[name] = (spec.origin or "") if spec else ""
    return origins
