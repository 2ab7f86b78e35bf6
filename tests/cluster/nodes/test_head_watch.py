"""A head that stops answering is noticed; one that comes back in time is not."""

from __future__ import annotations

import socket
import threading
from types import SimpleNamespace

import pytest

from cluster.nodes import head_watch
from cluster.nodes.head_watch import watched_head


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    monkeypatch.setattr(head_watch, "_PAUSE_S", 0.02)
    return listen(0)


def listen(port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen(64)
    return server


def address_of(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_head_that_is_gone_is_told_once(port: socket.socket) -> None:
    lost, calls = threading.Event(), list[int]()

    def on_lost() -> None:
        calls.append(1)
        lost.set()

    with watched_head(address_of(port), on_lost, lost_after_s=0.2):
        port.close()
        assert lost.wait(timeout=30)
    assert calls == [1]


@pytest.mark.parametrize(("answers", "is_lost"), [(f"{20 * '-'}+{20 * '-'}+", False), (f"+{32 * '-'}", True)])
def test_only_silence_without_a_break_counts(monkeypatch: pytest.MonkeyPatch, answers: str, is_lost: bool) -> None:
    """By a clock that goes on by a second with every call to the head, which answers at every `+`."""
    now_s, left, over, lost = [0.0], iter(answers), threading.Event(), threading.Event()

    def call(address: tuple[str, int], timeout: float) -> socket.socket:
        now_s[0] += 1
        answer = next(left, None)
        if answer is None:
            over.set()
        if answer == "-":
            raise ConnectionRefusedError
        return socket.socket()

    def on_lost() -> None:
        lost.set()
        over.set()

    monkeypatch.setattr(head_watch, "_PAUSE_S", 0.0)
    monkeypatch.setattr(head_watch, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    monkeypatch.setattr(head_watch, "socket", SimpleNamespace(create_connection=call))
    with watched_head("127.0.0.1:1", on_lost, lost_after_s=30.0):
        assert over.wait(timeout=30)
    assert lost.is_set() == is_lost
