"""A connection to Ray for one command, quiet and cleanly ended."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from cluster.connect import ClusterConnection, connect, disconnect
from cluster.nodes.head_watch import EXIT_HEAD_LOST, LOST_AFTER_S, watched_head
from cluster.nodes.joining import require_sound_nodes

# Ray's libraries print tables and paths of their own; the study's progress is ours to tell.
_QUIET_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune reads it in this process at every fit: "1" prints tables even at verbose=0
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files: the ledger has it all
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours stops at once; finished trials are in the ledger
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONWARNINGS": "ignore::FutureWarning",
}
_QUIET_LOGGERS = ("ray", "ray.data", "ray.tune", "ray.train")


class InterruptedBySignalError(KeyboardInterrupt):
    """The user or the machine asked to stop.

    Args:
        signal_number: which signal came.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__()
        self.exit_code = 128 + signal_number
        self.has_joined = False  # a cluster of others

    def leave(self) -> None:
        """End this process now: threads that still speak to Ray would have it end with 1 while it disconnects."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.exit_code)


@contextmanager
def connected(
    address: str | None, say: Callable[[str], None], *, dashboard: bool = True, allow_mismatch: bool = False
) -> Iterator[ClusterConnection]:
    """Join or start a cluster for the length of a command; ends what it started, also on SIGTERM.

    Args:
        address: As `connect` takes it.
        say: Told what was decided.
        dashboard: Whether a cluster that is started has one.
        allow_mismatch: Whether nodes of a cluster that is joined may run other patch versions.
    """
    for name, value in _QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    connection = connect(address, dashboard=dashboard)
    _quiet_libraries()
    for note in connection.notes:
        say(note)
    if connection.dashboard_url:
        say(f"Ray dashboard: {connection.dashboard_url}")
    with _stopped_by(signal.SIGTERM, signal.SIGINT), ExitStack() as watching:
        is_left_to_caller = False
        try:
            if not connection.was_started:
                watching.enter_context(watched_head(connection.address, lambda: _end_without_head(say, connection)))
                require_sound_nodes(say, allow_patch=allow_mismatch)
            yield connection
        except InterruptedBySignalError as stop:
            is_left_to_caller = stop.has_joined = not connection.was_started
            raise
        finally:
            if not is_left_to_caller:
                disconnect()


def _quiet_libraries() -> None:
    """Keep Ray's libraries off the terminal, and their progress bars."""
    from ray.data import DataContext  # configures its loggers, so their levels come after it

    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _end_without_head(say: Callable[[str], None], connection: ClusterConnection) -> None:
    """End this process from another thread: the main one may wait for the head for ever."""
    say(
        f"the head node at {connection.address} has not answered for {LOST_AFTER_S:.0f} s: finished trials are safe. "
        "The same command on a new cluster goes on from there."
    )
    sys.stdout.flush()
    os._exit(EXIT_HEAD_LOST)


@contextmanager
def _stopped_by(*signals: signal.Signals) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise InterruptedBySignalError(number)

    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
