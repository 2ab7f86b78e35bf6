"""How soon a killed slot is back, and what a thousand trials leave in the driver's memory."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.trials.workload import encoded_blocks, pooled_side, trial_spec

NUM_NOTHINGS, PACK = 1_000, 8


def measure(say: Callable[[str], None], *, is_quick: bool) -> dict[str, Any]:
    """Seconds, MiB and the pace of the last fifth against the first."""
    num = 50 if is_quick else NUM_NOTHINGS
    with pooled_side(encoded_blocks(), pack=PACK) as side:
        side.run([trial_spec(5_000 + i, num_steps=0, num_targets=0) for i in range(2 * PACK)])
        back_s = _kill_a_slot(side)
        say(f"a slot killed by SIGKILL was back after {back_s:.1f} s")
        before = _rss_mib()
        side.run([trial_spec(i, num_steps=0, num_targets=0) for i in range(num)])
        grown = _rss_mib() - before
        ends = sorted(
            datetime.fromisoformat(r["finished_at"]).timestamp()
            for r in side.engine._recorder._ledger.records()
            if r["kind"] == "trial"
        )[-num:]
    part = num // 5
    first, last = (ends[part] - ends[0]) / part, (ends[-1] - ends[-part - 1]) / part
    say(f"{num} trials of nothing: driver's memory grew by {grown:.1f} MiB; {first:.3f} s a trial in the first fifth, "
        f"{last:.3f} s in the last ({statistics.mean([first, last]):.3f} s on average)")  # fmt: skip
    return {
        "slot_back_s": round(back_s, 1),
        "driver_growth_mib": round(grown, 1),
        "pace_last_first": round(last / first, 2),
    }


def _kill_a_slot(side: Any) -> float:
    import ray

    pool = side.engine._running.pool

    def pids() -> set[int]:
        return {about["pid"] for about in ray.get(pool.broker.state.remote())["slots"].values() if "pid" in about}

    while len(before := pids()) < len(pool.slots):
        time.sleep(0.1)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    while len(pids() - {victim}) < len(pool.slots):
        time.sleep(0.05)
    return time.monotonic() - killed


def _rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
