"""A head that stops answering is noticed; one that comes back in time is not."""

from __future__ import annotations

import socket
import threading

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


def test_a_head_that_comes_back_is_not_lost(port: socket.socket) -> None:
    lost, address = threading.Event(), address_of(port)
    with watched_head(address, lost.set, lost_after_s=60.0):
        port.close()
        assert not lost.wait(timeout=0.3)
        with listen(int(address.rpartition(":")[2])) as back:
            back.accept()
    assert not lost.is_set()
