"""One preparation of a store at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets_spec.errors import StoreError

LOCK_NAME = ".lock"


@contextmanager
def locked(store_dir: Path) -> Iterator[None]:
    """Holds the store's lock; the operating system frees it when the process ends, however it ends.

    Args:
        store_dir: The store; made if absent.

    Raises:
        StoreError: Another process prepares it, or the folder cannot be written.
    """
    try:
        store_dir.mkdir(parents=True, exist_ok=True)
        file = (store_dir / LOCK_NAME).open("w")
    except OSError as error:
        raise StoreError(f"cannot write to {store_dir}: {error.strerror or type(error).__name__}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"another process is preparing {store_dir}", hint="wait for it, or choose another folder"
            ) from None
        yield
