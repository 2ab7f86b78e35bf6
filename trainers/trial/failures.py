"""Which status an error stands for, and what may be written of it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets_spec.errors import RecombineError
from trainers.backbone.memory import is_out_of_memory
from trainers.trial.result import TrialStatus


class DivergedError(RecombineError):
    """The loss is not finite: the trial ends as `diverged` and is never ranked."""


class LeaseLostError(Exception):
    """The trial is someone else's by now: drop it and write nothing."""


class LeavingError(LeaseLostError):
    """The slot has to go, but what it holds is still its own: it is saved."""


class RowsAwayError(LeavingError):
    """Kept rows went with their node: the slot gives its place back, for who encodes them anew may need it.

    Args:
        words: that say so.
        is_passing: whether they are to be encoded anew.
    """

    def __init__(self, words: str, *, is_passing: bool = True) -> None:
        super().__init__(words)
        self.is_passing = is_passing


class RunStorageError(LeavingError):
    """The study directory cannot be written from here, as where a disk is full: no failure of a trial's own."""


class TrialTimeoutError(RecombineError):
    """The trial ran past its deadline: it ends as `timeout`."""


def failure_status(error: BaseException) -> TrialStatus:
    """Return the closed status that an error stands for."""
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, TrialTimeoutError):
        return "timeout"
    return "oom" if is_out_of_memory(error) else "failed"


def is_peer_lost(error: BaseException) -> bool:
    """Whether an error says only that another worker of the trial is gone; what happened to it is told there."""
    from torch.distributed import DistError

    is_gloo = isinstance(error, RuntimeError) and "gloo" in str(error)  # gloo has no type of its own
    return isinstance(error, DistError) or is_gloo


def describe_error(error: BaseException) -> str:
    """Return what may be written down of an error: our own messages whole, others by type and place only.

    Messages of other libraries may quote the data; what the system says of a failed read or write does not.
    """
    if isinstance(error, RecombineError):
        return f"{type(error).__name__}: {error}"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    words = system_words(error)
    return f"{type(error).__name__}{place}{f': {words}' if words else ''}"


def system_words(error: BaseException) -> str | None:
    """Return what the system says of a failed read or write, which quotes nothing; None for any other error."""
    number: Any = error.errno if type(error).__module__ == "builtins" and isinstance(error, OSError) else None
    if number is None and type(error).__name__ == "SafetensorError":  # Rust's error in words, its number at the end
        found = re.search(r"\(os error (\d+)\)", str(error))
        number = int(found[1]) if found else None
    return os.strerror(number) if number in errno.errorcode else None


@contextmanager
def writing_to_run() -> Iterator[None]:
    """Tell what hinders writing the study directory from what a trial does wrong.

    Raises:
        RunStorageError: with what the system said of it.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        words = system_words(error) or type(error).__name__
        raise RunStorageError(f"the study directory cannot be written: {words}") from error
