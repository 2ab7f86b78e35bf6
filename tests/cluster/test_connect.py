from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from cluster.connect import connect
from cluster.errors import ClusterError
from cluster.local import _choose_store_bytes
from cluster.machine import GIB, count_cpus
from tests.makers.ray_head import MARK, HeadNode, free_ports, marked_processes, wait_until_gone

REPOSITORY = Path(__file__).resolve().parents[2]
# Says what it got, then leaves by disconnect() at the next line, or waits for a task to be ended by a signal.
PROGRAM = """
import json, os, sys, time, urllib.error, urllib.request
from cluster.connect import connect, disconnect
connection = connect(num_cpus=99)
import ray
@ray.remote(num_cpus=1)
def ask():
    return os.environ.get("RAY_AUTH_MODE"), ray.get_runtime_context().gcs_address
@ray.remote(num_cpus=1)
def nap():
    time.sleep(100)
def status(token):
    url = connection.dashboard_url + "/api/jobs/"
    request = urllib.request.Request(url, headers={"Authorization": token})
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
print(json.dumps({
    "address": connection.address, "url": connection.dashboard_url, "started": connection.was_started,
    "cpus": connection.resources["CPU"], "notes": connection.notes, "worker": ray.get(ask.remote()),
    "again": connect() is connection, "folder": ray._private.worker.global_worker.node.get_session_dir_path(),
    "with_token": status("Bearer " + open(os.path.expanduser("~/.ray/auth_token")).read()),
    "with_wrong_token": status("Bearer " + "0" * 64),
    "poll_s": os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"],
}), flush=True)
if sys.argv[1] == "disconnect":
    sys.stdin.readline()
    disconnect()
else:
    ray.get(nap.remote())
"""


class Study:
    """One process with a local cluster of its own."""

    def __init__(self, home: Path, leave_by: str) -> None:
        self.leave_by = leave_by
        self.mark = secrets.token_hex(8)
        env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        env |= {MARK: self.mark, "HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, leave_by],
            env=env | {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        answer: dict[str, Any] = json.loads(line)
        return answer

    def leave(self) -> str:
        if self.leave_by == "signal":
            self.process.terminate()
        _, errors = self.process.communicate("\n", timeout=60)
        # Ray's own answer to SIGTERM aborts the process: a negative code.
        assert (self.process.returncode > 0) is (self.leave_by == "signal"), errors
        return errors


@pytest.mark.ray
# The default tier has two whole studies at once (tests/studies/test_whole_study.py).
@pytest.mark.slow
def test_two_studies_at_once_have_a_cluster_each_and_leave_nothing(tmp_path: Path) -> None:
    studies = [Study(tmp_path, "disconnect"), Study(tmp_path, "signal")]
    first, second = (study.said() for study in studies)
    assert all(len(marked_processes(study.mark)) > 5 for study in studies)
    assert first["address"] != second["address"]
    assert first["url"] != second["url"]
    for answer in (first, second):
        assert answer["started"]
        assert answer["again"]
        assert answer["cpus"] == count_cpus()
        assert "no more" in answer["notes"][0]
        assert answer["worker"] == ["token", answer["address"]]
        assert (answer["with_token"], answer["with_wrong_token"]) == (200, 403)
        assert answer["url"].startswith("http://127.0.0.1:")
        assert answer["poll_s"] == "0.3"  # the user's own setting stands
    for study, answer in zip(studies, (first, second), strict=True):
        errors = study.leave()
        assert "Traceback" not in errors
        assert wait_until_gone(study.mark) == []
        assert not Path(answer["folder"]).parent.exists()


@pytest.mark.ray
def test_joining_with_the_clusters_token(head: HeadNode) -> None:
    assert join(head, head.token) == "joined False 2.0"


@pytest.mark.ray
@pytest.mark.slow  # Ray tries for 20 s
def test_joining_with_another_token(head: HeadNode) -> None:
    said = join(head, "0" * 64)
    assert said.startswith("refused")
    assert "another token" in said


def join(head: HeadNode, token: str) -> str:
    program = (
        "import sys; from cluster.connect import connect, disconnect\n"
        "from cluster.errors import ClusterError\n"
        "try:\n    found = connect(sys.argv[1])\n"
        "except ClusterError as error:\n    print('refused', error.message)\n"
        "else:\n    print('joined', found.was_started, found.resources['CPU']); disconnect()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, head.gcs_address],
        env=head.env | {"RAY_AUTH_TOKEN": token, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:8265", "submit"),
        ("ray://head:10001", "Ray Client"),
        ("head", "has no port"),
        ("192.0.2.1:6379", "No token"),
    ],
)
def test_addresses_that_cannot_be_joined(
    address: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ClusterError, match=words):
        connect(address)


def test_nobody_at_the_address_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    started = time.monotonic()
    with pytest.raises(ClusterError, match="Nobody answers"):
        connect(f"127.0.0.1:{free_ports(1)[0]}")
    assert time.monotonic() - started < 6


def test_unsafe_settings_are_refused_before_ray_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ClusterError, match="disabled"):
        connect()


NO_NODE = "No node info found matching attributes: '' when trying to resolve node to connect to."
NO_RAYLET = "This node has an IP address of 10.0.0.9, but we cannot find a local Raylet with the same address."


@pytest.mark.parametrize(
    ("error", "cause", "hint"),
    [
        (ConnectionError("Failed to connect to Ray cluster"), RuntimeError(NO_NODE), "Run it on a node"),  # Ray 2.60
        (RuntimeError(NO_RAYLET), None, "Run it on a node"),
        (ConnectionError("Failed to connect to Ray cluster"), RuntimeError("Could not read"), "RAY_AUTH_TOKEN"),
        (RuntimeError("Version mismatch"), None, "must have the same versions"),
    ],
)
def test_a_machine_that_is_no_node_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, error: Exception, cause: Exception | None, hint: str
) -> None:
    import ray

    error.__cause__ = cause
    monkeypatch.setattr("cluster.connect.find_token", lambda: None)
    monkeypatch.setattr(ray, "init", Mock(side_effect=error))
    with socket.create_server(("127.0.0.1", 0)) as head, pytest.raises(ClusterError) as caught:
        connect(f"127.0.0.1:{head.getsockname()[1]}")
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("shared_gib", "wanted_gib", "expected_gib", "num_notes"),
    [
        (50.0, None, 2.0, 0),  # a fifth of 10 GiB
        (1.0, None, 0.7, 0),  # what /dev/shm holds
        (0.06, None, 2.0, 1),  # a container's default: on disk, said
        (50.0, 1.5, 1.5, 0),
        (50.0, 9.0, 5.0, 1),  # never more than half of the machine
        (None, 0.01, 0.125, 0),  # Ray's own least
    ],
)
def test_shared_blocks_are_sized_modestly(
    monkeypatch: pytest.MonkeyPatch,
    shared_gib: float | None,
    wanted_gib: float | None,
    expected_gib: float,
    num_notes: int,
) -> None:
    monkeypatch.setattr("cluster.local.total_memory_gib", lambda: 10.0)
    monkeypatch.setattr("cluster.local.shared_memory_gib", lambda: shared_gib)
    notes: list[str] = []
    assert _choose_store_bytes(wanted_gib, notes) == pytest.approx(expected_gib * GIB, abs=1)
    assert len(notes) == num_notes


def test_importing_does_not_import_ray() -> None:
    program = "import sys, cluster.connect, cluster.submit, cluster.metrics, cluster.doctor\n"
    program += "assert not {'ray', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)


def test_free_ports_are_free() -> None:
    for port in free_ports(3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
