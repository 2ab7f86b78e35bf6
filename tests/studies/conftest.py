from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.makers.ray_nodes import start_nodes
from tests.studies.documented import Documented
from tests.studies.tiny_study import (
    KILL_AFTER,
    Runs,
    command,
    environment,
    finished_trials,
    recombine,
    spoil_images,
    trial_records,
    write_study,
)

# Two pack sizes are enough to measure one against the other.
POOLED = ("execution.executor=pooled", "execution.num_workers=1", "execution.max_pack=2")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Two studies at once, same file: `calm` runs through, nested; `killed` is pooled, dies by SIGKILL on this machine
    and is resumed on a cluster of two nodes with a processor each.
    """
    folder = tmp_path_factory.mktemp("study")
    study = write_study(folder)
    spoil_images(folder)
    prepared = recombine("data", "prepare", study)
    assert prepared.returncode == 0, prepared.stderr
    calm, killed = folder / "calm", folder / "killed"
    with (folder / "calm.log").open("w") as log, (folder / "killed.log").open("w") as other_log:
        first = subprocess.Popen(command("run", study, "--run-dir", calm), env=environment(), stdout=log, stderr=log)
        second = subprocess.Popen(
            command("run", study, *POOLED, "--run-dir", killed),
            env=environment(),
            stdout=other_log,
            stderr=other_log,
        )
        deadline = time.monotonic() + 300
        while len(trial_records(killed)) < KILL_AFTER and second.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert second.poll() is None, (folder / "killed.log").read_text()
        os.kill(second.pid, signal.SIGKILL)
        second.wait()
        before = finished_trials(killed)
        with start_nodes(1) as nodes:
            resumed = subprocess.run(
                command("run", study, *POOLED, "--run-dir", killed, "--address", nodes.head.gcs_address),
                env=nodes.env,
                capture_output=True,
                text=True,
                timeout=400,
                check=False,
            )
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
        assert first.wait(timeout=400) == 0, (folder / "calm.log").read_text()
    return Runs(study, calm, killed, (folder / "calm.log").read_text(), before)


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Documented:
    """The study that README and guide walk through; each of their lines runs once for both."""
    return Documented(tmp_path_factory.mktemp("documented"))
