"""A real head node with its own token, ports and folder, for the tests that need a cluster to talk to."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from cluster.ray_start import start_with_one_retry

# Ray's names for the head of its fake provider (autoscaler/_private/fake_multi_node/node_provider.py).
FAKE_HEAD_NODE_ID = "fffffffffffffffffffffffffffffffffffffffffffffffffff00000"
FAKE_HEAD_NODE_TYPE = "ray.head.default"
# An external provider has no defaults for these; nothing is started by them here.
_COMMANDS = [
    *("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands"),
    *("head_start_ray_commands", "worker_start_ray_commands"),
]
MARK = "RECOMBINE_TEST_MARK"  # every process below inherits it, so that ours can be told from others'
_START_TIMEOUT_S = 120.0  # 5 s when nothing else runs; Ray itself gives a node up after 30 s


@dataclass(frozen=True, kw_only=True)
class HeadNode:
    address_http: str
    gcs_address: str
    token: str
    env: dict[str, str]  # what a client process on this machine needs to reach it
    mark: str = ""  # in the environment of its processes: `end_marked` ends it


@contextmanager
def start_head(token: str | None = None, *, num_cpus: int = 1, max_nodes: int = 0) -> Iterator[HeadNode]:
    """Start `ray start --head` with token authentication; end it, and only it, on leaving.

    Args:
        token: None makes one.
        num_cpus: Processors of the head.
        max_nodes: Nodes with one processor that an autoscaler may start on this host when they are asked for.
    """
    token = token or secrets.token_hex(32)
    mark = secrets.token_hex(8)
    folder = Path(tempfile.mkdtemp(prefix="rh-", dir="/tmp"))  # short: sockets live in it
    gcs, dashboard, client, agent_http, agent_grpc, metrics = free_ports(6)
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "HOME": str(folder), "RAY_worker_niceness": "0"}
    # A job runs `python`: the one these tests run with, and it finds our packages where they are.
    env["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    env["PATH"] = f"{Path(sys.executable).parent}:{env.get('PATH', '')}"
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
        *(f"--port={gcs}", f"--num-cpus={num_cpus}", f"--object-store-memory={128 * 2**20}"),
        *(
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={dashboard}",
            f"--ray-client-server-port={client}",
        ),
        *(f"--dashboard-agent-listen-port={agent_http}", f"--dashboard-agent-grpc-port={agent_grpc}"),
        *(f"--metrics-export-port={metrics}", f"--temp-dir={folder}", "--node-ip-address=127.0.0.1"),
    ]
    if max_nodes:
        options, autoscaling_env = _autoscaling(folder, f"127.0.0.1:{gcs}", num_cpus, max_nodes)
        command, env = [*command, *options], env | autoscaling_env
    address, log_path = f"http://127.0.0.1:{dashboard}", folder / "start.log"

    def start() -> None:
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command,
                env=env | {MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=folder,
            )
        processes.append(process)
        _wait_until_up(address, token, process, log_path)

    processes: list[subprocess.Popen[bytes]] = []
    try:
        start_with_one_retry(start, clean_up=lambda error: end_marked(mark), say=warnings.warn)
        yield HeadNode(address_http=address, gcs_address=f"127.0.0.1:{gcs}", token=token, env=env, mark=mark)
    finally:
        # Asked to end, Ray drains its node first, which takes it up to 15 s; nothing here is worth waiting for.
        end_marked(mark)
        for process in processes:
            process.wait(timeout=15)
        shutil.rmtree(folder, ignore_errors=True)


def _autoscaling(folder: Path, gcs_address: str, num_cpus: int, max_nodes: int) -> tuple[list[str], dict[str, str]]:
    """Options and environment of a head with Ray's fake provider: real raylets on this host in place of machines."""
    # Named as an external one: what Ray loads for `fake_multinode` itself is not in its package (2.60).
    provider = {
        "type": "external",
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        "gcs_address": gcs_address,
        "head_node_id": FAKE_HEAD_NODE_ID,
        "launch_multiple": True,
        "disable_node_updaters": True,
    }
    resources = {"CPU": 1, "object_store_memory": 100 * 2**20}
    kinds = {
        FAKE_HEAD_NODE_TYPE: {"resources": {"CPU": num_cpus}, "node_config": {}, "max_workers": 0},
        "worker": {"resources": resources, "node_config": {}, "min_workers": 0, "max_workers": max_nodes},
    }
    config = {
        "cluster_name": "fake",
        "max_workers": max_nodes,
        "provider": provider,
        "available_node_types": kinds,
        "head_node_type": FAKE_HEAD_NODE_TYPE,
        "cluster_synced_files": [],
        "idle_timeout_minutes": 0.1,
        **{key: [] for key in _COMMANDS},
        **{key: {} for key in ("file_mounts", "auth", "docker")},
    }
    path = folder / "autoscaling.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    # As `ray.cluster_utils.AutoscalingCluster` sets them, which itself calls `ray stop`.
    env = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_enable_autoscaler_v2": "1"}
    ids = dict.fromkeys(("RAY_CLOUD_INSTANCE_ID", "RAY_OVERRIDE_NODE_ID_FOR_TESTING"), FAKE_HEAD_NODE_ID)
    return [f"--autoscaling-config={path}"], env | ids


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def marked_processes(mark: str) -> list[int]:
    """Living processes that inherited `mark` in their environment (Linux)."""
    found = []
    for folder in Path("/proc").iterdir():
        # It may have ended meanwhile, or not be ours to read. A zombie's environment is empty.
        with suppress(OSError):
            if folder.name.isdigit() and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def wait_until_gone(mark: str, timeout_s: float = 15.0) -> list[int]:
    """Wait for all processes with `mark` to end; returns those that did not."""
    deadline = time.monotonic() + timeout_s
    while (left := marked_processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def end_marked(mark: str, timeout_s: float = 15.0) -> None:
    """Kill all processes with `mark`, also those that the dying still start."""
    deadline = time.monotonic() + timeout_s
    while (left := marked_processes(mark)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _wait_until_up(address: str, token: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    request = urllib.request.Request(f"{address}/api/jobs/", headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"the head node did not come up:\n{log_path.read_text(errors='replace')[-3000:]}")
