"""By the commands of docs/cluster.md: nodes of a submitted study die and are drained, its job is stopped.

Programs are those of the environment that runs this test: a clone's, or one in which the page's `pip install` was run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd
import pytest

from tests.cluster.deploy.test_onprem import GUIDE, Machines
from tests.makers.ray_head import MARK, end_marked, wait_until_gone
from tests.studies.tiny_study import (
    command,
    comparable_trials,
    environment,
    finished_trials,
    trial_records,
    write_study,
)

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(2400)]

LEFT_OUT = ("confirm.enabled=false", "transfer.enabled=false")
NUM_TRIALS = 8
EXECUTION = {"num_workers": 1, "max_concurrent": 2, "pack": 1, "checkpoint_s": 0.5}
CHANGES = {"recipe": {"num_steps": 300, "batch_size": 4}, "strategy": {"name": "random", "num_trials": NUM_TRIALS}}


class Cluster(Machines):
    """The on-prem script on several machines of one host, each with a mark of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.env["RAY_worker_niceness"] = "0"  # the host is busy, and not ours alone

    def env_of(self, machine: str) -> dict[str, str]:
        return super().env_of(machine) | {MARK: self.mark_of(machine)}

    def mark_of(self, machine: str) -> str:
        return f"{self.mark}-{machine}"

    def recombine(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """The command line in an environment that holds nothing but where programs and the token are."""
        env: dict[str, str] = {n: self.env[n] for n in ("PATH", "HOME", "PYTHONPATH") if n in self.env}
        return subprocess.run(command(*arguments), env=env, capture_output=True, text=True, check=False, timeout=900)

    def drain(self, address: str) -> None:
        """By the page's two commands of Ray, with the addresses of this cluster."""
        text = re.sub(r"\\\n\s+", "", GUIDE.read_text(encoding="utf-8"))
        listing, draining = re.search(r"^(ray list nodes .*)\n(ray drain-node .*)$", text, re.MULTILINE).groups()  # type: ignore[union-attr]
        listed = self._ray(listing, {"http://127.0.0.1:8265": self.dashboard, "10.0.0.2": address})
        (node,) = set(re.findall(r"\b[0-9a-f]{56}\b", listed))  # among its labels, too
        gcs = f"127.0.0.1:{self.env['RECOMBINE_PORT']}"
        self._ray(draining, {"10.0.0.1:6379": gcs, "NODE_ID": node})

    def _ray(self, line: str, changes: Mapping[str, str]) -> str:
        for there, here in changes.items():
            assert there in line, line
            line = line.replace(there, here)
        program, *words = shlex.split(line, comments=True)
        found = Path(sys.executable).parent / program
        env = self.env | {"RAY_AUTH_MODE": "token"}
        done = subprocess.run([found, *words], env=env, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="on-", dir="/tmp"))  # short: sockets live in it
    made = Cluster(folder)
    try:
        yield made
    finally:
        end_marked(made.mark)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path, **CHANGES, execution=EXECUTION)


def test_it_ends_as_if_nothing_had_happened(cluster: Cluster, study: Path) -> None:
    calm, run_dir, began = study.parent / "calm", study.parent / "runs" / "tiny", time.monotonic()
    undisturbed = subprocess.run(
        command("run", study, *LEFT_OUT, "--run-dir", calm), env=environment(), capture_output=True, check=False
    )
    assert undisturbed.returncode == 0, undisturbed.stderr

    cluster.write_token()
    cluster.begin("head", "head", "127.0.0.1", "--num-cpus=0")
    for number in (1, 2):
        cluster.begin(f"w{number}", "worker", f"127.0.0.{number + 1}", "127.0.0.1", "--num-cpus=1")
    at = ("--address", cluster.dashboard)
    submitted = cluster.recombine("submit", study, *LEFT_OUT, *at, "--no-wait")
    assert submitted.returncode == 0, submitted.stderr
    said = [submitted.stdout]

    wait_for_trials(run_dir, 3, lambda: cluster.recombine("logs", study, *LEFT_OUT, *at).stdout)
    end_marked(cluster.mark_of("w1"))  # SIGKILL
    cluster.begin("w3", "worker", "127.0.0.4", "127.0.0.1", "--num-cpus=1")
    wait_for_trials(run_dir, 5, lambda: cluster.recombine("logs", study, *LEFT_OUT, *at).stdout)
    cluster.drain("127.0.0.3")
    wait_for_trials(run_dir, 6, lambda: cluster.recombine("logs", study, *LEFT_OUT, *at).stdout)
    stopped = cluster.recombine("stop", study, *LEFT_OUT, *at)
    assert "has ended, after " in stopped.stdout, stopped.stdout + stopped.stderr
    before, recorded = finished_trials(run_dir), len(trial_records(run_dir))
    assert recorded < NUM_TRIALS + 1, "it had ended before it was stopped"
    again = cluster.recombine("submit", study, *LEFT_OUT, *at)
    assert again.returncode == 0, again.stdout + again.stderr
    said.append(again.stdout)
    assert "Traceback" not in "".join(said)

    after = finished_trials(run_dir)
    lost = [name for name in before if after.get(name) != before[name]]
    roles = Counter((record["train_id"], record["stage"], record["arm"]) for record in trial_records(run_dir))
    assert (lost, max(roles.values())) == ([], 1)
    pd.testing.assert_frame_equal(comparable_trials(run_dir), comparable_trials(calm))
    for machine in ("w3", "w2", "head"):
        cluster.run(machine, "stop")
    left = wait_until_gone(cluster.mark)
    assert left == []
    sys.stdout.write(
        f"{len(roles)} trials, {recorded} before the stop, lost or trained again {len(lost)}, recorded twice 0, "
        f"processes left {len(left)}, {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.0f}\n"
    )


def wait_for_trials(run_dir: Path, number: int, said: Callable[[], str]) -> None:
    deadline = time.monotonic() + 600
    while len(trial_records(run_dir)) < number:
        assert time.monotonic() < deadline, said()
        time.sleep(0.2)
