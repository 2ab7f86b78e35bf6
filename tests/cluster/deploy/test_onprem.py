"""The script for machines of one's own, run on loopback: head, worker, a study, and nothing left at its end."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.makers.ray_head import MARK, end_marked, free_ports, wait_until_gone
from tests.studies.tiny_study import command, trial_records, write_study

REPOSITORY = Path(__file__).resolve().parents[3]
GUIDE = REPOSITORY / "docs" / "cluster.md"
SCRIPT = REPOSITORY / "cluster" / "deploy" / "onprem" / "node.sh"
NUM_STEPS = 2_500  # half a minute on a quiet processor: longer than it takes a slot to hear that its node goes
STUB = """
for word; do case "$word" in --temp-dir=*) mkdir -p -m 777 "${word#*=}" ;; esac; done
sleep 60 & # one of its parts
trap 'sleep 0.1; [ "$(tr -d "\\0" < /proc/$!/cmdline)" ] && touch "$HOME/parts-outlived-the-call"; exit 1' TERM
echo "will now block"
wait
"""


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
    """Calls the script as several machines would that share a home."""

    def __init__(self, folder: Path) -> None:
        gcs, dashboard = free_ports(2)
        self.mark, self.folder = secrets.token_hex(8), folder
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        env = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "XDG_"))}
        self.env = env | {
            MARK: self.mark,
            "HOME": str(folder),
            "RECOMBINE_BIN": str(Path(sys.executable).parent),
            "RECOMBINE_PORT": str(gcs),
            "RECOMBINE_DASHBOARD_PORT": str(dashboard),
        }

    def env_of(self, machine: str) -> dict[str, str]:
        """What differs between machines: their name, and what lies on a disk of their own."""
        named = self.folder / f"bin-{machine}" / "uname"
        if not named.exists():
            write_program(named, f'[ "$*" = -n ] && echo {machine} || exec /bin/uname "$@"')
        path = f"{named.parent}:{self.env['PATH']}"
        return self.env | {"PATH": path, "RECOMBINE_TEMP_DIR": str(self.temp_dir(machine))}

    def temp_dir(self, machine: str) -> Path:
        return self.folder / f"tmp-{machine}"

    def state(self, machine: str) -> Path:
        return self.folder / ".local" / "state" / "recombine-ray" / machine

    def run(self, machine: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = self.env_of(machine)
        return subprocess.run([SCRIPT, *arguments], env=env, capture_output=True, text=True, check=False, timeout=180)

    def begin(self, machine: str, *arguments: str) -> None:
        started = self.run(machine, *arguments, *own_ports())
        assert started.returncode == 0, started.stderr

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


def write_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def with_stub(machines: Machines) -> Machines:
    """In place of Ray a program that does what the script waits for: what is asked here is what the script does."""
    write_program(machines.folder / "bin" / "ray", STUB)
    machines.env["RECOMBINE_BIN"] = str(machines.folder / "bin")
    machines.write_token()
    return machines


def test_it_starts_nothing_without_a_private_token(machines: Machines) -> None:
    without = machines.run("a", "head", "127.0.0.1")
    assert (without.returncode, without.stdout) == (2, "")
    assert "ray get-auth-token --generate" in without.stderr
    machines.write_token(mode=0o644)
    readable = machines.run("a", "head", "127.0.0.1")
    assert readable.returncode == 2
    assert "chmod 600" in readable.stderr
    assert machines.run("a", "worker", "127.0.0.2").returncode == 2


def test_machines_that_share_a_home_do_not_end_each_other(with_stub: Machines) -> None:
    assert with_stub.run("a", "head", "127.0.0.1").returncode == 0
    assert with_stub.run("b", "stop").returncode == 2
    assert with_stub.run("b", "worker", "127.0.0.2", "127.0.0.1").returncode == 0
    assert with_stub.run("b", "stop").returncode == 0
    assert (with_stub.folder / "parts-outlived-the-call").exists()  # they can save what they hold
    again = with_stub.run("a", "head", "127.0.0.1")
    assert "already runs here" in again.stderr


def test_a_number_that_is_another_process_now_is_left_alone(with_stub: Machines) -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        with_stub.state("a").mkdir(parents=True)
        (with_stub.state("a") / "pid").write_text(f"{stranger.pid}\n")
        ended = with_stub.run("a", "stop")
        assert (ended.returncode, "no Ray of this script runs here" in ended.stderr) == (2, True)
        assert with_stub.run("a", "head", "127.0.0.1").returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_rays_folder_is_out_of_reach_of_others(with_stub: Machines) -> None:
    """Ray opens it to everybody, as the stub does; a folder that was there, or a link, may be another user's."""
    with_stub.temp_dir("a").mkdir(mode=0o777)
    for machine, *arguments in (("a", "head", "127.0.0.1"), ("b", "worker", "127.0.0.2", "127.0.0.1")):
        assert with_stub.run(machine, *arguments).returncode == 0
        assert is_private(with_stub.temp_dir(machine))
    with_stub.temp_dir("c").symlink_to(with_stub.temp_dir("b"))
    linked = with_stub.run("c", "head", "127.0.0.1")
    assert (linked.returncode, "RECOMBINE_TEMP_DIR" in linked.stderr) == (2, True)


def monitored_folder(temp_dir: Path) -> Path:
    """What docs/cluster.md has Prometheus and Grafana read, where `RECOMBINE_TEMP_DIR` is another folder."""
    named = re.search(r"export RAY_FOLDER=/tmp/recombine-ray-\$\(id -u\)(\S*)", GUIDE.read_text(encoding="utf-8"))
    assert named is not None
    return Path(f"{temp_dir}{named[1]}")


def is_private(folder: Path) -> bool:
    """Whether only its owner can enter a folder that holds one of Ray."""
    return (folder / "r").is_dir() and stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_says_the_port_that_workers_need(with_stub: Machines) -> None:
    with_stub.write_token(mode=0o400)
    said = with_stub.run("a", "head", "127.0.0.1").stdout
    assert f"RECOMBINE_PORT={with_stub.env['RECOMBINE_PORT']} node.sh worker IP 127.0.0.1" in said


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_two_machines_run_a_study_and_end(machines: Machines, tmp_path: Path) -> None:
    machines.write_token()
    for machine, *arguments in (("a", "head", "127.0.0.1"), ("b", "worker", "127.0.0.2", "127.0.0.1")):
        machines.begin(machine, *arguments)
        assert is_private(machines.temp_dir(machine))
    assert machines.run("a", "head", "127.0.0.1").returncode == 2  # it runs already
    watched = monitored_folder(machines.temp_dir("a"))
    wait_for_file(watched / "prom_metrics_service_discovery.json")
    assert (watched / "session_latest" / "metrics" / "grafana" / "dashboards").is_dir()
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


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_a_worker_that_is_stopped_hands_its_trial_over(machines: Machines, tmp_path: Path) -> None:
    """Nothing but the hand-over saves here: checkpoints are an hour apart."""
    machines.write_token()
    study = write_study(
        tmp_path,
        strategy={"name": "random", "num_trials": 2},
        recipe={"num_steps": NUM_STEPS, "batch_size": 4},
        execution={"num_workers": 1, "max_concurrent": 1, "pack": 1, "checkpoint_s": 3600},
        confirm={"enabled": False},
        transfer={"enabled": False},
    )
    run_dir = tmp_path / "runs" / "tiny"
    machines.begin("a", "head", "127.0.0.1", "--num-cpus=0")
    machines.begin("b", "worker", "127.0.0.2", "127.0.0.1", "--num-cpus=1")
    with submitted_job(machines, study) as job:
        wait_for_trials(run_dir, 1, job)  # the backbone, by the slot, which is on b therefore
        machines.begin("c", "worker", "127.0.0.3", "127.0.0.1", "--num-cpus=1")
        wait_for_trials(run_dir, 2, job)
        time.sleep(3)  # into the second trial
        assert machines.run("b", "stop").returncode == 0
        output, _ = job.communicate(timeout=400)
    assert job.returncode == 0, output
    trained = [record for record in trial_records(run_dir) if record["num_tokens"]]
    # Every question of the phantom has as many tokens: what the first process trained on counts, and its time, too.
    assert trained[0]["num_tokens"] == trained[1]["num_tokens"]
    results = [json.loads((run_dir / record["trial_dir"] / "trial.json").read_text()) for record in trained]
    stretches = [[span for span in result["spans"] if span["phase"] == "train"] for result in results]
    assert [len(each) for each in stretches] == [1, 2], "it began anew"
    for machine in ("c", "a"):
        assert machines.run(machine, "stop").returncode == 0
    assert not wait_until_gone(machines.mark)


def wait_for_file(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.is_file():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.2)


@contextmanager
def submitted_job(machines: Machines, study: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command("submit", study, "--address", machines.dashboard),
        env=machines.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_trials(run_dir: Path, number: int, job: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while len(trial_records(run_dir)) < number:
        assert job.poll() is None, job.communicate()[0]
        assert time.monotonic() < deadline, f"{number} trials have not ended in five minutes"
        time.sleep(0.2)
