"""A real Slurm of several nodes on one host: a controller and a daemon a node, ended with the test."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.makers.ray_head import free_ports

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
_START_TIMEOUT_S = 60.0
_CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
FirstJobId={first_job}
AuthType=auth/none
CredType=cred/none
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/linear
SchedulerType=sched/builtin
MpiDefault=none
ReturnToService=2
KillWait=20
SlurmdParameters=config_overrides
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True, kw_only=True)
class Slurm:
    folder: Path
    env: Mapping[str, str]

    def run(self, *command: str) -> str:
        """A Slurm command's output."""
        done = subprocess.run(command, env=dict(self.env), capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def state_of(self, job: str) -> str:
        """A job's state in Slurm's words, with its exit code (`COMPLETED 0:0`)."""
        fields = dict(word.partition("=")[::2] for word in self.run("scontrol", "show", "job", job).split())
        return f"{fields['JobState']} {fields['ExitCode']}"

    def wait_for(self, job: str, states: tuple[str, ...], timeout_s: float) -> str:
        """Wait until a job's state is one of some; return it with the exit code."""
        deadline = time.monotonic() + timeout_s
        while not (state := self.state_of(job)).startswith(states) and time.monotonic() < deadline:
            time.sleep(0.5)
        return state


def missing_programs() -> list[str]:
    """What of Slurm is not installed (Debian: slurm-wlm)."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


@contextmanager
def start_slurm(folder: Path, *, num_nodes: int = 3) -> Iterator[Slurm]:
    """Start Slurm with nodes n1, n2, ... of one processor each."""
    port, *ports = free_ports(1 + num_nodes)
    host = socket.gethostname().partition(".")[0]
    names = [f"n{number + 1}" for number in range(num_nodes)]
    nodes = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={own} CPUs=1 State=UNKNOWN"
        for name, own in zip(names, ports, strict=True)
    ]
    config = folder / "slurm.conf"
    (folder / "state").mkdir()
    # Ports and folders of the recipe follow from a job's number: two tests at once must not have the same.
    about = {"host": host, "port": port, "first_job": os.getpid(), "user": getpass.getuser(), "folder": folder}
    text = _CONFIG.format(**about, nodes="\n".join(nodes))
    config.write_text(text)
    env = {**os.environ, "SLURM_CONF": str(config), "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"}
    commands = [["slurmctld", "-D"], *(["slurmd", "-D", "-N", name] for name in names)]
    processes: list[subprocess.Popen[bytes]] = []
    slurm = Slurm(folder=folder, env=env)
    try:
        for command in commands:
            with (folder / f"{command[0]}-{command[-1]}.out").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        command,
                        env=env,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
        _wait_until_idle(slurm, num_nodes)
        yield slurm
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_idle(slurm: Slurm, num_nodes: int) -> None:
    deadline, seen = time.monotonic() + _START_TIMEOUT_S, ""
    while time.monotonic() < deadline:
        done = subprocess.run(
            ["sinfo", "-h", "-N", "-o", "%t"], env=dict(slurm.env), capture_output=True, text=True, check=False
        )
        seen = done.stdout + done.stderr
        if done.stdout.split() == ["idle"] * num_nodes:
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in slurm.folder.glob("*.log"))
    raise RuntimeError(f"Slurm did not come up: {seen}\n{logs}")
