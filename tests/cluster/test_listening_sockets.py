"""Every socket that a cluster at work listens on is in docs/security.md, and gives nothing away without the token."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil  # type: ignore[import-untyped]
import pytest

from tests.makers.ray_head import MARK, HeadNode, marked_processes

pytestmark = pytest.mark.ray
SECURITY = Path(__file__).resolve().parents[2] / "docs" / "security.md"
WRONG = "0" * 64
# A call of each service: what it answers tells whether the socket offers it, and whether it asks for the token.
CALLS = {
    "NodeInfoGcsService/GetAllNodeInfo": "gcs_server",
    "NodeManagerService/GetSystemConfig": "raylet",
    "ObjectManagerService/Pull": "object manager (of the raylet)",
    "CoreWorkerService/GetCoreWorkerStats": "worker (also the driver)",
    "RayletDriver/KVGet": "client server",
    "ReporterService/GetTraceback": "dashboard agent, internal",
}
DRIVER = """
import sys, time, ray
ray.init(address=sys.argv[1], logging_level="error")
@ray.remote
class Actor:
    def port(self): return ray.nodes()[0]["MetricsExportPort"]
actor = Actor.remote()
print(ray.get(actor.port.remote()), flush=True)
time.sleep(600)
"""


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


@pytest.fixture(scope="module")
def listeners(head: HeadNode) -> Iterator[list[Listener]]:
    """What listens while a driver and an actor of it are there."""
    env = head.env | {MARK: head.mark}
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, head.gcs_address], env=env, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        exporter = Listener("exporter", "127.0.0.1", int(driver.stdout.readline()))
        deadline = time.monotonic() + 60
        while exporter.http("/metrics") is None and time.monotonic() < deadline:
            time.sleep(0.2)
        try:
            yield list(listening(head.mark))
        finally:
            driver.kill()


def listening(mark: str) -> Iterator[Listener]:
    # Ray's agents write their titles over their environment: they are found as children of those that keep it.
    pids = set(marked_processes(mark))
    for pid in list(pids):
        with suppress(psutil.NoSuchProcess):
            pids |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
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
            assert DRIVER.splitlines()[2] not in page[1]
            assert role_of(listener) != "dashboard" or len(page[1]) < 2_000  # scripts only, loaded by the browser
