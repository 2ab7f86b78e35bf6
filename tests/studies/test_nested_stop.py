"""A nested study that is asked to end does, within seconds, and goes on. Slow tier: `make test-slow`."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.studies.tiny_study import command, environment, finished_trials, recombine, trial_records, write_study

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

# Long enough that trials run whenever it is stopped; Tune has a thread of its own, which no signal reaches.
CHANGES = {
    "recipe": {"num_steps": 400, "batch_size": 4},
    "strategy": {"name": "random", "num_trials": 2},
    "transfer": {"enabled": False},
    "confirm": {"num_finalists": 1, "seeds": [101], "comparators": ["all-data"]},
    "execution": {"executor": "nested", "num_workers": 1, "max_concurrent": 2},
}
STOP_WITHIN_S = 60.0  # 10 s on a quiet machine


def is_at_a_trial(run_dir: Path) -> bool:
    """Whether a worker has begun one: it makes a hidden folder, which it renames in the end."""
    return any(run_dir.glob("trials/.*"))


def run_until_stopped(study: Path, run_dir: Path, sent: signal.Signals, num_trials: int) -> tuple[int, str]:
    """Run a study, stop it at a trial once so many have ended; returns its exit code and what it said."""
    process = subprocess.Popen(
        command("run", study, "--run-dir", run_dir),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # as from a terminal
    )  # fmt: skip
    try:
        while process.poll() is None and not (len(trial_records(run_dir)) >= num_trials and is_at_a_trial(run_dir)):
            time.sleep(0.1)
        process.send_signal(sent)
        said, _ = process.communicate(timeout=STOP_WITHIN_S)
    finally:
        process.kill()
    return process.returncode, said


def test_a_nested_study_ends_when_asked_and_goes_on(tmp_path: Path) -> None:
    study, run_dir = write_study(tmp_path, **CHANGES), tmp_path / "run"
    code, said = run_until_stopped(study, run_dir, signal.SIGTERM, 1)
    assert (code, "Traceback" in said) == (143, False), said
    code, said = run_until_stopped(study, run_dir, signal.SIGINT, 3)
    assert (code, "Traceback" in said) == (130, False), said
    witnessed = finished_trials(run_dir)
    done = recombine("run", study, "--run-dir", run_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    assert witnessed.items() <= finished_trials(run_dir).items()  # none was trained again
    roles = Counter((record["train_id"], record["stage"], record["arm"]) for record in trial_records(run_dir))
    assert max(roles.values()) == 1
    assert {record["status"] for record in trial_records(run_dir)} == {"finished"}
