"""A study that is killed five times at random moments ends as if nothing had happened. Slow tier: `make test-slow`."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from tests.studies.tiny_study import (
    command,
    comparable_trials,
    environment,
    finished_trials,
    recombine,
    trial_records,
    write_study,
)

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(3000)]
NUM_KILLS = 5
SEED = 20261123


def _run_until_killed(study: Path, run_dir: Path, rng: random.Random) -> bool:
    """Start or resume the study and kill its driver at a random moment after a few more trials; False when it ended."""
    wanted = len(trial_records(run_dir)) + rng.randint(1, 3)  # counted, not timed: machines differ
    process = subprocess.Popen(
        command("run", study, "--run-dir", run_dir),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and len(trial_records(run_dir)) < wanted:
        time.sleep(0.1)
    try:
        process.wait(timeout=rng.uniform(0.0, 3.0))
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(5.0)  # Ray's own processes notice the driver's death
        return True
    return False


def test_five_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    # Long enough that a kill finds trials at work.
    recipe = {"num_steps": 300, "batch_size": 4}
    study = write_study(tmp_path, recipe=recipe, strategy={"name": "optuna-tpe", "num_trials": 8})
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    undisturbed = recombine("run", study, "--run-dir", calm, timeout_s=900)
    assert undisturbed.returncode == 0, undisturbed.stderr
    rng = random.Random(SEED)
    witnessed: dict[str, tuple[float, float]] = {}
    kills = 0
    for _ in range(NUM_KILLS):
        kills += _run_until_killed(study, killed, rng)
        now = finished_trials(killed)
        changed = {name for name, times in witnessed.items() if now.get(name) != times}
        assert not changed, f"ran again or lost: {changed}"
        witnessed = now
    assert kills >= 3, "the study ended before it could be killed often enough"
    resumed = recombine("run", study, "--run-dir", killed, timeout_s=900)
    assert resumed.returncode == 0, resumed.stderr
    roles = Counter((r["train_id"], r["stage"], r["arm"]) for r in trial_records(killed))
    assert max(roles.values()) == 1
    recorded = {record["trial_dir"].split("/")[1] for record in trial_records(killed)}
    assert set(witnessed) <= recorded
    pd.testing.assert_frame_equal(comparable_trials(calm), comparable_trials(killed))
    for name in ("report/transfer.csv", "selection/selection.json"):
        assert (calm / name).read_bytes() == (killed / name).read_bytes()
