from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.ray_start import TIMED_OUT, TRIED_AGAIN, start_with_one_retry

REPOSITORY = Path(__file__).resolve().parents[2]
# Ray's real start, whose clock jumps by a minute while its first node, all processes started, waits to be registered.
PROGRAM = """
import json, time
import psutil
import ray._private.node, ray._private.services
from cluster.connect import connect, disconnect

class Clock:
    jump_s = 0.0
    def __getattr__(self, name): return getattr(time, name)
    def monotonic(self): return time.monotonic() + self.jump_s

first, get_node = [], ray._private.services.get_node
def get_node_late(*arguments):
    if not first:
        first.extend(psutil.Process().children(recursive=True))
        ray._private.node.time.jump_s = 60.0
        raise RuntimeError("not registered yet")
    return get_node(*arguments)

ray._private.node.time, ray._private.services.get_node = Clock(), get_node_late
connection = connect(num_cpus=1, dashboard=False)
import ray
answer = ray.get(ray.remote(num_cpus=1)(lambda: 7).remote())
_, left = psutil.wait_procs(first, timeout=30)
print(json.dumps({"notes": connection.notes, "answer": answer, "first": len(first), "left": len(left)}))
disconnect()
"""


class Starts:
    """Starts that fail with what is in `failures`, one after the other, and then succeed."""

    def __init__(self, *failures: str) -> None:
        self.failures = list(failures)
        self.num_tries = 0
        self.heard: list[str] = []

    def __call__(self) -> str:
        self.num_tries += 1
        if self.failures:
            raise RuntimeError(self.failures.pop(0))
        return "started"

    def run(self) -> str:
        return start_with_one_retry(self, clean_up=lambda error: self.heard.append("clean"), say=self.heard.append)


def test_a_start_that_timed_out_is_tried_once_more_after_cleaning_up() -> None:
    starts = Starts(f"The current node {TIMED_OUT}.")
    assert starts.run() == "started"
    assert starts.heard == ["clean", TRIED_AGAIN]


def test_two_time_outs_are_an_error() -> None:
    starts = Starts(TIMED_OUT, TIMED_OUT)
    with pytest.raises(RuntimeError, match=TIMED_OUT):
        starts.run()
    assert starts.num_tries == 2


def test_no_other_failure_is_tried_again() -> None:
    starts = Starts("no space left on device")
    with pytest.raises(RuntimeError, match="no space"):
        starts.run()
    assert (starts.num_tries, starts.heard) == (1, [])


@pytest.mark.ray
def test_a_real_start_that_timed_out_is_told_and_leaves_no_process_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert TRIED_AGAIN in said["notes"]
    assert said["answer"] == 7
    assert said["first"] >= 2  # the first node really had its processes
    assert said["left"] == 0
