"""The script for machines of one's own, run on loopback: head, worker, a study, and nothing left at its end."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.makers.ray_head import MARK, end_marked, free_ports, wait_until_gone
from tests.studies.tiny_study import command, write_study

REPOSITORY = Path(__file__).resolve().parents[3]
SCRIPT = REPOSITORY / "cluster" / "deploy" / "onprem" / "node.sh"


def own_ports() -> list[str]:
    """Options that let several machines of the test be one: their agents' usual ports are fixed."""
    http, grpc, metrics = free_ports(3)
    return [
        f"--dashboard-agent-listen-port={http}",
        f"--dashboard-agent-grpc-port={grpc}",
        f"--metrics-export-port={metrics}",
        "--object-store-memory=134217728",
    ]


class Machines:
    """Calls the script as several machines would, each with a state of its own."""

    def __init__(self, folder: Path) -> None:
        gcs, dashboard = free_ports(2)
        self.mark, self.folder = secrets.token_hex(8), folder
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.env = env | {
            MARK: self.mark,
            "HOME": str(folder),
            "PYTHONPATH": str(REPOSITORY),
            "RECOMBINE_BIN": str(Path(sys.executable).parent),
            "RECOMBINE_PORT": str(gcs),
            "RECOMBINE_DASHBOARD_PORT": str(dashboard),
            "RECOMBINE_TEMP_DIR": str(folder / "ray"),
        }

    def run(self, machine: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = self.env | {"RECOMBINE_STATE": str(self.folder / f"state-{machine}")}
        return subprocess.run([SCRIPT, *arguments], env=env, capture_output=True, text=True, check=False, timeout=180)

    def write_token(self, mode: int = 0o600) -> str:
        path = self.folder / ".ray" / "auth_token"
        path.parent.mkdir(exist_ok=True)
        path.write_text(secrets.token_hex(32))
        path.chmod(mode)
        return path.read_text()


@pytest.fixture
def machines() -> Iterator[Machines]:
    folder = Path(tempfile.mkdtemp(prefix="on-", dir="/tmp"))
    made = Machines(folder)
    try:
        yield made
    finally:
        end_marked(made.mark)
        shutil.rmtree(folder, ignore_errors=True)


def test_it_starts_nothing_without_a_private_token(machines: Machines) -> None:
    without = machines.run("a", "head", "127.0.0.1")
    assert (without.returncode, without.stdout) == (2, "")
    assert "ray get-auth-token --generate" in without.stderr
    machines.write_token(mode=0o644)
    readable = machines.run("a", "head", "127.0.0.1")
    assert readable.returncode == 2
    assert "chmod 600" in readable.stderr
    assert machines.run("a", "worker", "127.0.0.2").returncode == 2
    assert "nothing" not in machines.run("a", "stop").stdout


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_two_machines_run_a_study_and_end(machines: Machines, tmp_path: Path) -> None:
    machines.write_token()
    for machine, *arguments in (("a", "head", "127.0.0.1"), ("b", "worker", "127.0.0.2", "127.0.0.1")):
        started = machines.run(machine, *arguments, *own_ports())
        assert started.returncode == 0, started.stderr
    assert machines.run("a", "head", "127.0.0.1").returncode == 2  # it runs already
    study = write_study(tmp_path, strategy={"name": "random", "num_trials": 2})
    less = ("confirm.enabled=false", "transfer.enabled=false")
    submitted = subprocess.run(
        command("submit", study, *less, "--address", machines.dashboard),
        env=machines.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert (tmp_path / "runs" / "tiny" / "report" / "index.html").exists()
    for machine in ("b", "a"):
        ended = machines.run(machine, "stop")
        assert ended.returncode == 0, ended.stderr
    assert not wait_until_gone(machines.mark)
