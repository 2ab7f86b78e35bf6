"""A job is followed through a dashboard that is away for a while, and given up with a code of its own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import ray

from cluster import follow_job, jobs_client
from cluster.errors import ClusterError
from cluster.jobs_client import ConnectionLostError, JobForgottenError, _protect_token, open_client
from cluster.submit import submit
from tests.makers.ray_head import HeadNode, free_ports

PROGRAM = "for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.5; done; exit 4"


class Network:
    """Passes bytes from a port to the dashboard; can be cut and mended, and can fall silent."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("http://").partition(":")
        self.target = (host, int(port))
        self.port = free_ports(1)[0]
        self.address = f"http://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        self._silent = threading.Event()  # of the connections that are made from now on
        self._server: socket.socket | None = None
        self.mend()

    def mend(self) -> None:
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", self.port))
        server.listen(16)
        self._server = server
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def cut(self) -> None:
        assert self._server is not None
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def forget(self) -> None:
        """Drops what comes on the connections there are, as a NAT does that has forgotten them."""
        silent, self._silent = self._silent, threading.Event()
        silent.set()

    def fall_silent(self) -> None:
        """Drops what comes on every connection; all stay open."""
        self._silent.set()

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.create_connection(self.target)
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(one, other, self._silent), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, silent: threading.Event) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            if not silent.is_set():
                sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def network(head: HeadNode, monkeypatch: pytest.MonkeyPatch) -> Network:
    """What lies between a follower that soon tries again and the dashboard."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
    monkeypatch.setattr(follow_job, "_RECONNECT_PAUSE_S", 0.3)
    return Network(head.address_http)


def followed(network: Network, folder: Path, lines: list[str], disturb: Callable[[Network], None]) -> int:
    """Follow a job whose network is disturbed after its second line; returns its exit code."""
    folder.mkdir()

    def on_line(line: str) -> None:
        lines.append(line)
        if line == "line 2":
            disturb(network)

    return submit(address=network.address, folder=folder, entrypoint=["sh", "-c", PROGRAM], on_line=on_line)


def cut_for_a_while(network: Network) -> None:
    network.cut()
    threading.Timer(2.0, network.mend).start()


@pytest.mark.ray
@pytest.mark.parametrize(
    ("disturb", "lost_after_s"),
    [(cut_for_a_while, jobs_client.LOST_AFTER_S), (Network.forget, 3.0)],  # nothing closes what is forgotten
)
def test_a_connection_that_is_made_again_loses_no_line(
    network: Network,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    disturb: Callable[[Network], None],
    lost_after_s: float,
) -> None:
    monkeypatch.setattr(jobs_client, "LOST_AFTER_S", lost_after_s)
    lines = list[str]()
    assert followed(network, tmp_path / "empty", lines, disturb) == 4
    assert [line for line in lines if line.startswith("line")] == [f"line {number}" for number in range(1, 9)]


@pytest.mark.ray
@pytest.mark.parametrize("fail", [Network.cut, Network.fall_silent])
def test_a_cluster_that_stays_away_is_given_up_with_its_own_code(
    network: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fail: Callable[[Network], None]
) -> None:
    monkeypatch.setattr(jobs_client, "LOST_AFTER_S", 2.0)
    lines, started = list[str](), time.monotonic()
    with pytest.raises(ConnectionLostError, match="Nobody has answered") as caught:
        followed(network, tmp_path / "empty", lines, fail)
    assert time.monotonic() - started >= 2.0
    assert caught.value.exit_code == 75
    assert any("the job itself may go on" in line for line in lines)


class Proxy(BaseHTTPRequestHandler):
    """A proxy whose dashboard comes back, or not, after some answers that nobody is behind it."""

    num_away, asked = 3, 0  # below 0: nothing but the proxy ever answers
    is_other_head = False  # whether the dashboard that comes back is another's, which has no job yet
    job: ClassVar = {"type": "SUBMISSION", "submission_id": "x", "entrypoint": "x", "status": "SUCCEEDED"}

    def do_GET(self) -> None:
        answers: dict[str, dict[str, Any]] = {"/api/version": {"ray_version": ray.__version__}, "/api/jobs/x": self.job}
        answers["/api/jobs/x/logs"] = {"logs": "one\ntwo\n"}
        if self.path == "/api/jobs/x":
            type(self).asked += 1
        is_away = self.path.endswith("/tail") or (self.path == "/api/jobs/x" and self.asked <= self.num_away)
        is_away = is_away or self.num_away < 0
        is_unknown = self.is_other_head and self.path.startswith("/api/jobs/") and not is_away
        self.send_response(503 if is_away else 404 if is_unknown else 200)
        self.end_headers()
        known = b"Job x does not exist" if is_unknown else json.dumps(answers[self.path]).encode()
        self.wfile.write(b"<html>no endpoints</html>" if is_away else known)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    """The proxy on a port of its own; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("num_away", [3, 10**9])
def test_a_proxy_that_has_lost_the_dashboard_is_waited_for(monkeypatch: pytest.MonkeyPatch, num_away: int) -> None:
    monkeypatch.setattr(follow_job, "_RECONNECT_PAUSE_S", 0.01)
    monkeypatch.setattr(jobs_client, "LOST_AFTER_S", 60.0 if num_away == 3 else 0.1)
    monkeypatch.setattr(Proxy, "num_away", num_away)
    monkeypatch.setattr(Proxy, "asked", 0)
    lines = list[str]()
    with served() as address:
        if num_away == 3:
            assert follow_job.follow_job(address=address, job_id="x", on_line=lines.append) == 0
            assert lines == ["one", "two"]
        else:
            with pytest.raises(ConnectionLostError, match="Nobody has answered"):
                follow_job.follow_job(address=address, job_id="x", on_line=lines.append)


@pytest.mark.parametrize(
    ("study", "go_on"),
    [
        ("s.yaml --run-dir r", "recombine submit s.yaml --run-dir r --address {address} --topup"),
        (None, "`recombine submit STUDY --address {address}`"),
    ],
)
def test_a_head_that_was_replaced_knows_no_job_and_the_same_study_goes_on(
    monkeypatch: pytest.MonkeyPatch, study: str | None, go_on: str
) -> None:
    """What follows or stops the job would fail there, and a loop that ends at 2 would leave the study."""
    monkeypatch.setattr(follow_job, "_RECONNECT_PAUSE_S", 0.01)
    monkeypatch.setattr(Proxy, "asked", 0)
    monkeypatch.setattr(Proxy, "is_other_head", True)
    lines, options = list[str](), ("--accept-loss", "--topup")
    with served() as address, pytest.raises(JobForgottenError, match="was started anew") as caught:
        follow_job.follow_job(address=address, job_id="x-try1", on_line=lines.append, study=study, options=options)
    assert caught.value.exit_code == 75
    assert go_on.format(address=address) in str(caught.value)
    assert "--accept-loss" not in str(caught.value)
    assert lines == []


@pytest.mark.ray
def test_ray_answers_for_a_job_it_does_not_know_as_is_expected_here(
    head: HeadNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
    with pytest.raises(JobForgottenError):
        follow_job.follow_job(address=head.address_http, job_id="recombine-gone-try1", on_line=lambda line: None)


def test_a_proxy_without_a_dashboard_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Proxy, "num_away", -1)
    with served() as address, pytest.raises(ConnectionLostError, match="no dashboard behind it") as caught:
        open_client(address)
    assert caught.value.exit_code == 75


def test_an_address_that_accepts_and_never_answers_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel accepts for an end that has gone."""
    monkeypatch.setattr(jobs_client, "LOST_AFTER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(ConnectionLostError, match="Nobody") as caught:
        open_client(f"http://127.0.0.1:{server.getsockname()[1]}")
    assert caught.value.exit_code == 75


def test_the_token_crosses_no_public_network_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    for address in ("http://8.8.8.8:8265", "http://[2001:4860:4860::8888]:8265"):
        with pytest.raises(ClusterError, match="is a public address") as caught:
            open_client(address)
        assert "ssh -L" in str(caught.value)


def test_over_a_private_network_it_is_said() -> None:
    lines: list[str] = []
    _protect_token("10.1.2.3", 8265, lines.append)
    assert lines == ["The token goes to 10.1.2.3 unencrypted; who reads this network can use it."]
