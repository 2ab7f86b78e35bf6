"""Three real Ray nodes on one host: a head and two raylets, each with its own address, ports and, if asked, folders."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.makers.ray_head import MARK, HeadNode, end_marked, free_ports, marked_processes, start_head

_START_TIMEOUT_S = 120.0
_NUM_TRIES = 3  # on a busy machine the head may not answer a node within the 30 s that Ray gives it
# In place of a mount: a `sitecustomize` that every Python process of the node imports first.
_HOOK = """
import builtins, io, os

def moved(path):
    is_there = isinstance(path, (str, os.PathLike)) and (os.fspath(path) + "/").startswith("{target}/")
    return "{source}" + os.fspath(path)[len("{target}"):] if is_there else path

def wrapped(function):
    return lambda path, *args, **kwargs: function(moved(path), *args, **kwargs)

for module, name in ((os, "stat"), (os, "open"), (os, "mkdir"), (io, "open"), (builtins, "open")):
    setattr(module, name, wrapped(getattr(module, name)))
"""
_STARTED = "This command will now block forever"


@dataclass(kw_only=True)
class RayNodes:
    head: HeadNode
    addresses: list[str] = field(default_factory=list)  # of the nodes beside the head
    marks: list[str] = field(default_factory=list)  # in the environment of each node's processes: `end_marked` ends it
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """What a client process on this machine needs."""
        return self.head.env

    def join(
        self,
        *,
        mount: tuple[Path, Path] | None = None,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        """Start another node, with one processor.

        Args:
            mount: What its processes see, and at which folder.
            env: Of its processes, beside the head's.
            options: Of `ray start`.
        """
        number, mark = len(self.marks), secrets.token_hex(8)
        # An address of the loopback device, so that messages tell the nodes of one host apart.
        address, log = f"127.0.0.{number + 2}", Path(self.head.env["HOME"]) / f"node-{number}.log"
        self.marks.append(mark)
        self.addresses.append(address)
        for _ in range(_NUM_TRIES):
            prefix, hook = _sees(mount, self.head.env)
            command = [*prefix, *_start_command(self.head.gcs_address, address), *options]
            self._processes.append(_start(command, {**self.head.env, **hook, **(env or {}), MARK: mark}, log))
            if _is_started(self._processes[-1], log):
                return
        raise RuntimeError(f"the node did not come up:\n{log.read_text(errors='replace')[-3000:]}")

    def end(self) -> None:
        """End all nodes beside the head, and only them."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=15)
        for mark in self.marks:
            end_marked(mark)


def has_slot(mark: str) -> bool:
    """Whether a process of a node is a slot's worker: Ray starts processes ahead, and names them by their use."""
    for pid in marked_processes(mark):
        with suppress(psutil.NoSuchProcess):
            if "RayTrainWorker" in " ".join(psutil.Process(pid).cmdline()):
                return True
    return False


def slower_than_idle() -> float:
    """By what a bound on seconds is multiplied on a host that has other work: processes a processor, 3 at most."""
    return min(3.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


def can_mount() -> bool:
    """Whether this user may give a process a mount of its own."""
    try:
        return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def start_nodes(
    num_workers: int = 2, *, head_cpus: int = 1, mounts: Mapping[int, tuple[Path, Path]] | None = None
) -> Iterator[RayNodes]:
    """Start a head and other nodes with one processor each; end them, and only them, on leaving.

    Args:
        num_workers: Nodes beside the head.
        head_cpus: Processors of the head.
        mounts: By number of the node beside the head: what its processes see, and at which folder.
    """
    with start_head(num_cpus=head_cpus) as head:
        nodes = RayNodes(head=head)
        try:
            for number in range(num_workers):
                nodes.join(mount=(mounts or {}).get(number))
            yield nodes
        finally:
            nodes.end()


def _sees(mount: tuple[Path, Path] | None, env: Mapping[str, str]) -> tuple[Sequence[str], dict[str, str]]:
    """What stands before a command, and in its environment, so that it sees `source` at `target`."""
    if mount is None:
        return (), {}
    source, target = map(str, mount)
    if can_mount():
        return ("unshare", "-m", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', source, target), {}
    # Python only, and only what looks at paths by these functions: enough for whether a file is there, and its text.
    folder = Path(env["HOME"]) / "hook"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_HOOK.format(source=source, target=target))
    return (), {"PYTHONPATH": f"{folder}:{env['PYTHONPATH']}"}


def _start_command(gcs_address: str, address: str) -> list[str]:
    agent_http, agent_grpc, metrics, runtime_env, raylet, objects = free_ports(6)
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"),
        *(f"--address={gcs_address}", f"--node-ip-address={address}", "--num-cpus=1"),
        *(f"--object-store-memory={100 * 2**20}", f"--node-manager-port={raylet}", f"--object-manager-port={objects}"),
        *(f"--dashboard-agent-listen-port={agent_http}", f"--dashboard-agent-grpc-port={agent_grpc}"),
        *(f"--metrics-export-port={metrics}", f"--runtime-env-agent-port={runtime_env}"),
        # Chosen by the system: the nodes of one host would otherwise take from one range.
        *("--min-worker-port=0", "--max-worker-port=0"),
    ]


def _start(command: Sequence[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )


def _is_started(process: subprocess.Popen[bytes], log: Path) -> bool:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if _STARTED in log.read_text(errors="replace"):
            return True
        time.sleep(0.1)
    return False
