from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cluster.machine import count_cpus, free_disk_gib, shared_memory_gib, total_memory_gib


def test_figures_are_those_of_this_machine() -> None:
    assert 1 <= count_cpus() <= (os.cpu_count() or 1)
    assert 0.1 < total_memory_gib() < 100_000
    assert free_disk_gib(Path("/")) > 0
    shared = shared_memory_gib()
    assert shared is None or shared >= 0


def test_affinity_is_respected() -> None:
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    program += "from cluster.machine import count_cpus; print(count_cpus())"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
