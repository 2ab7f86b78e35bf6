"""How the error of a Ray Train run is read: what ended it, and whether it only had no room."""

from __future__ import annotations

from collections.abc import Iterator

from datasets_spec.errors import RecombineError

_NO_ROOM = "WorkerGroupStartupTimeoutError"  # Train's, when no node has had room for a worker for minutes


class OtherNodeError(RecombineError):
    """The node runs other versions than the driver: nothing is trained on it."""


def reason_of(error: BaseException) -> str:
    """Return the types of an error and of what caused it: these may be written down, messages may quote the data."""
    return " <- ".join(dict.fromkeys(type(e).__name__ for e in _errors_of(error)))


def other_node_in(error: BaseException) -> OtherNodeError | None:
    """Return what a worker said that was not to work on its node; None where none of them did."""
    return next((each for each in _errors_of(error) if isinstance(each, OtherNodeError)), None)


def has_no_room(reason: str) -> bool:
    """Return whether a run ended for want of a place: where the cluster is full, or a node is on its way."""
    return _NO_ROOM in reason


def _errors_of(error: BaseException) -> tuple[BaseException, ...]:
    of_workers = getattr(error, "worker_failures", {}).values()
    of_controller = getattr(error, "controller_failure", None)
    return (*_causes(error), *_causes(of_controller), *of_workers)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
