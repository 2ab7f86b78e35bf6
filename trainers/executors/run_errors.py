"""How the error of a Ray Train run is read: what ended it, and whether it only had no room."""

from __future__ import annotations

from collections.abc import Iterator

_NO_ROOM = "WorkerGroupStartupTimeoutError"  # Train's, when no node has had room for a worker for minutes


def reason_of(error: BaseException) -> str:
    """Return the types of an error and of what caused it: these may be written down, messages may quote the data."""
    of_workers = getattr(error, "worker_failures", {}).values()
    of_controller = getattr(error, "controller_failure", None)
    errors = (*_causes(error), *_causes(of_controller), *of_workers)
    return " <- ".join(dict.fromkeys(type(e).__name__ for e in errors))


def has_no_room(reason: str) -> bool:
    """Return whether a run ended for want of a place: where the cluster is full, or a node is on its way."""
    return _NO_ROOM in reason


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
