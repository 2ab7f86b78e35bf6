"""Every socket that a cluster at work listens on is in docs/security.md, and gives nothing away without the token."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
import psutil  # type: ignore[import-untyped]
import pytest

from tests.makers.ray_head import MARK, HeadNode, marked_processes

pytestmark = pytest.mark.ray
SECURITY = Path(__file__).resolve().parents[2] / "docs" / "security.md"
WRONG = "0" * 64
CALL_LIMIT = timedelta(seconds=20)
DRIVER = "tests.makers.at_work"
START_LIMIT_S = 120.0  # of a slot: 10 s on an idle machine
# A call of each service: what it answers tells whether the socket offers it, and whether it asks for the token.
CALLS = {
    "NodeInfoGcsService/GetAllNodeInfo": "gcs_server",
    "NodeManagerService/GetSystemConfig": "raylet",
    "ObjectManagerService/Pull": "object manager (of the raylet)",
    "CoreWorkerService/GetCoreWorkerStats": "worker (also the driver)",
    "RayletDriver/KVGet": "client server",
    "ReporterService/GetTraceback": "dashboard agent, internal",
}


@dataclass(frozen=True)
class Listener:
    process: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """Where this machine reaches it."""
        host = self.host.removeprefix("::ffff:")
        return f"{'127.0.0.1' if host in ('::', '0.0.0.0') else host}:{self.port}"

    def call(self, method: str, token: str | None) -> str:
        """The status of a gRPC call without a body."""
        with grpc.insecure_channel(self.address) as channel:
            ask = channel.unary_unary(f"/ray.rpc.{method}", request_serializer=bytes, response_deserializer=bytes)
            try:
                ask(b"", timeout=20, metadata=[("authorization", f"Bearer {token}")] if token else [])
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"

    def http(self, path: str, token: str | None = None, data: bytes | None = None) -> tuple[int, str] | None:
        """The status of an HTTP request and its text; None where it is not HTTP."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"http://{self.address}{path}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except (OSError, http.client.BadStatusLine):
            return None


@contextmanager
def at_work(head: HeadNode, kind: str, folder: Path, *, num_processes: int) -> Iterator[list[int]]:
    """Keep a study's processes at work, as `tests/makers/at_work.py` says; their numbers."""
    command = [sys.executable, "-m", DRIVER, kind, head.gcs_address, str(folder)]
    env = head.env | {MARK: head.mark}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        exporter = Listener("exporter", "127.0.0.1", int(driver.stdout.readline()))
        try:
            deadline = time.monotonic() + START_LIMIT_S
            while exporter.http("/metrics") is None or len(list(folder.glob("*.pid"))) < num_processes:
                assert time.monotonic() < deadline
                assert driver.poll() is None
                time.sleep(0.2)
            yield [int(path.stem) for path in folder.glob("*.pid")]
        finally:
            driver.kill()


@pytest.fixture(scope="module")
def listeners(head: HeadNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Listener]]:
    """What listens while a driver is there, and a slot that trains for it."""
    with at_work(head, "slot", tmp_path_factory.mktemp("at-work"), num_processes=1):
        yield list(listening(processes(head.mark)))


def processes(mark: str) -> set[int]:
    """Also Ray's agents, which write their titles over their environment: children of those that keep it."""
    pids = set(marked_processes(mark))
    for pid in list(pids):
        with suppress(psutil.NoSuchProcess):
            pids |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return pids


def listening(pids: Iterable[int]) -> Iterator[Listener]:
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    yield Listener(process.name(), connection.laddr.ip, connection.laddr.port)


def role_of(listener: Listener) -> str:
    """Its name in the table; a socket that is nothing of it has a name that is not there."""
    page = listener.http("/")
    if page is None:
        offered = [role for method, role in CALLS.items() if listener.call(method, None) != "UNIMPLEMENTED"]
        return offered[0] if len(offered) == 1 else f"{listener} offers {offered}"
    if page[0] == 200:
        return "metrics exporter (of the dashboard agent)" if "# HELP" in page[1] else "dashboard"
    return "runtime env agent" if "Runtime" in listener.process else "dashboard agent"


def test_what_listens_is_what_the_document_says(listeners: list[Listener]) -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (gRPC|HTTP) \|", SECURITY.read_text(), flags=re.MULTILINE)
    interfaces = {role: interface for role, interface, _ in rows}
    found = {(role_of(listener), listener.host.removeprefix("::ffff:")) for listener in listeners}
    assert {role for role, _ in found} == set(interfaces)
    for role, host in found:
        word = {"::": "all", "0.0.0.0": "all", "127.0.0.1": "127.0.0.1"}.get(host, "the node's own")
        assert word in interfaces[role], (role, host)


def test_nothing_but_metrics_answers_without_the_right_token(head: HeadNode, listeners: list[Listener]) -> None:
    for listener in listeners:
        role = role_of(listener)
        if role in CALLS.values():
            method = next(method for method, each in CALLS.items() if each == role)
            assert listener.call(method, None) == listener.call(method, WRONG) == "UNAUTHENTICATED", role
            assert listener.call(method, head.token) not in ("UNAUTHENTICATED", "UNAVAILABLE"), role
        elif role != "metrics exporter (of the dashboard agent)":
            body = b'{"entrypoint": "touch /tmp/started-without-a-token"}'
            asked = [
                listener.http(path, token) for path in ("/api/jobs/", "/nodes", "/metrics") for token in (None, WRONG)
            ]
            asked += [
                listener.http(path, token, body)
                for path in ("/api/jobs/", "/get_or_create_runtime_env")
                for token in (None, WRONG)
            ]
            assert {answer[0] for answer in asked if answer is not None} <= {401, 403}, (role, asked)
            assert len([answer for answer in asked if answer is not None]) == len(asked), role
    assert not Path("/tmp/started-without-a-token").exists()


def test_the_page_and_the_metrics_tell_nothing_of_a_study(head: HeadNode, listeners: list[Listener]) -> None:
    for listener in listeners:
        page = listener.http("/")
        if page is not None and page[0] == 200:
            assert head.token not in page[1]
            assert DRIVER not in page[1]
            assert role_of(listener) != "dashboard" or len(page[1]) < 2_000  # scripts only, loaded by the browser


@pytest.mark.slow
def test_several_workers_are_joined_by_sockets_that_ask_nobody(head: HeadNode, tmp_path: Path) -> None:
    from torch._C._distributed_c10d import TCPStore  # what torch.distributed has under this name, not exported to mypy

    with at_work(head, "two-workers", tmp_path, num_processes=2) as pids:
        sockets = list(listening(pids))
        everywhere = [each for each in sockets if each.host in ("::", "0.0.0.0")]
        assert len(sockets) - len(everywhere) == 2  # gloo, one a worker
        asked = {each: each.call("CoreWorkerService/GetCoreWorkerStats", None) for each in everywhere}
        (store,) = [each for each, answer in asked.items() if answer != "UNAUTHENTICATED"]
        client = TCPStore("127.0.0.1", store.port, is_master=False, wait_for_workers=False, timeout=CALL_LIMIT)
        client.set("intruder", "was here")
        assert client.get("intruder") == b"was here"
    rows = re.findall(r"^\| (.+?) \| (all|the node's own), at .* \| \*\*", SECURITY.read_text(), flags=re.MULTILINE)
    assert rows == [("first worker", "all"), ("each worker", "the node's own")]
