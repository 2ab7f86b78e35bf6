"""Notices that a cluster's head is gone: Ray itself goes on asking for it, without a word and without an end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Ray's own parts give their head up after a minute (gcs_rpc_server_reconnect_timeout_s); a restart takes seconds.
LOST_AFTER_S = 30.0
_PAUSE_S = 2.0
EXIT_HEAD_LOST = 75  # EX_TEMPFAIL of sysexits.h: the same command on another cluster goes on


@contextmanager
def watched_head(address: str, on_lost: Callable[[], None], *, lost_after_s: float = LOST_AFTER_S) -> Iterator[None]:
    """Call `on_lost`, in a thread of its own, when nobody has answered at the head's port for a while.

    Args:
        address: Of the cluster's control store, host:port.
        on_lost: Called once; what it must end is often waiting for an answer that will never come.
        lost_after_s: How long nobody may answer.
    """
    host, _, port = address.rpartition(":")
    is_over = threading.Event()

    def watch() -> None:
        heard_at = time.monotonic()
        while not is_over.wait(_PAUSE_S):
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=_PAUSE_S).close()
                heard_at = time.monotonic()
            except OSError:
                if time.monotonic() - heard_at > lost_after_s:
                    on_lost()
                    return

    thread = threading.Thread(target=watch, name="recombine-head-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
