"""A study on a cluster that starts with its head alone: nodes come for its trials, go with them, and come again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.makers.ray_head import HeadNode, start_head
from tests.studies.tiny_study import trial_records, write_study

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(1200)]

NUM_NODES = 2
# Three trials on two slots: the third is alone for far longer than an idle node stays (6 s, `start_head`); then the
# finalist's two seeds want both slots again. Kept features would lie on the nodes that made them, which are never
# idle then.
CHANGES: dict[str, dict[str, Any]] = {
    "recipe": {"num_steps": 3000, "batch_size": 4},
    "strategy": {"name": "random", "num_trials": 3},
    "confirm": {"num_finalists": 1, "seeds": [101, 102], "comparators": ["all-data"]},
    "execution": {
        "num_workers": 1,
        "max_concurrent": NUM_NODES,
        "pack": 1,
        "checkpoint_s": 5.0,
        "vision_features": False,
    },
}
# A command line whose slots are given back after 3 s instead of a minute.
DRIVER = "import sys; from trainers.executors import broker; broker.SPARE_S = 3.0; from search.cli import main; main()"
WATCH = """
import sys, time, ray
ray.init(address=sys.argv[1], logging_level="error", log_to_driver=False)
while True:
    groups = ray.util.placement_group_table().values()
    places = [each for each in groups if each["state"] == "CREATED" and "CPU" in each["bundles"][0]]
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    print("now", len(places), len(nodes), flush=True)
    time.sleep(0.5)
"""


def seen(file: Path) -> list[tuple[int, int]]:
    """How many slots had a place and how many nodes were there, at each change; Ray writes warnings between them."""
    lines = [line.split() for line in file.read_text().splitlines() if line.startswith("now ")]
    pairs = [(int(places), int(nodes)) for _, places, nodes in lines]
    return [pair for pair, before in zip(pairs, [None, *pairs], strict=False) if pair != before]


def holds_in_order(changes: list[tuple[int, int]], wanted: list[tuple[int, int]]) -> bool:
    """Whether all that is wanted was seen, one after another."""
    rest = iter(changes)
    return all(each in rest for each in wanted)


def run_watched(study: Path, run_dir: Path, head: HeadNode) -> tuple[int, str, list[tuple[int, int]]]:
    """Run a study; returns its exit code, what it said, and how many slots and nodes there were, at each change."""
    counts = run_dir.with_suffix(".nodes")
    arguments = ["run", study, "transfer.enabled=false", "--run-dir", run_dir, "--address", head.gcs_address]
    with counts.open("w") as file:
        watch = subprocess.Popen([sys.executable, "-c", WATCH, head.gcs_address], env=head.env, stdout=file)
    try:
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, *map(str, arguments)],
            env=head.env, capture_output=True, text=True, check=False, timeout=900, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while seen(counts)[-1] != (0, 0) and time.monotonic() < deadline:
            time.sleep(0.5)  # with the study its slots have gone
    finally:
        watch.kill()
        watch.wait()
    return done.returncode, done.stdout + done.stderr, seen(counts)


@pytest.mark.parametrize("executor", ["pooled", "nested"])
def test_nodes_come_for_trials_go_with_them_and_come_again(tmp_path: Path, executor: str) -> None:
    changes = CHANGES | {"execution": {**CHANGES["execution"], "executor": executor}}
    study, run_dir = write_study(tmp_path, **changes), tmp_path / "run"
    with start_head(num_cpus=0, max_nodes=NUM_NODES) as head:
        code, said, counts = run_watched(study, run_dir, head)
    assert code == 0, said
    assert "Traceback" not in said
    if executor == "pooled":
        assert said.count("its place is given back") >= 1, said
        assert said.count("it asks for a place") >= 1, said
    # From the head alone to both, to the one that still works, to both, and back.
    assert holds_in_order(counts, [(0, 0), (2, 2), (1, 1), (2, 2), (0, 0)]), counts
    assert counts[-1] == (0, 0), counts
    roles = Counter((record["train_id"], record["stage"], record["arm"]) for record in trial_records(run_dir))
    assert max(roles.values()) == 1
    assert {record["status"] for record in trial_records(run_dir)} == {"finished"}
