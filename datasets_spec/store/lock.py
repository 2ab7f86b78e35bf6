"""The lock of a store: one process at a time prepares it or tidies up."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from datasets_spec.errors import StorageError, StoreError
from datasets_spec.storage import lock as object_lock
from datasets_spec.storage.place import Place, S3Place, open_storage

LOCK_NAME: Final = ".lock"
# Longer than an owner without a sign of life counts as alive: the store of a killed process is then free.
WAIT_S: Final = object_lock.DEFAULT_LIFE_S + 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """The lock of a store, held.

    Args:
        is_alone: Whether no other process can hold it: some file systems have no locks.
        fence: In a bucket, the number of this hold: higher than that of every hold before.
        require: Raises a StorageError where the lock was lost; to be called before something is published or removed.
    """

    is_alone: bool = True
    fence: int = 0
    require: Callable[[], None] = lambda: None


@contextmanager
def locked(
    store_dir: Place, *, is_patient: bool = False, tell: Callable[[str], None] = lambda message: None
) -> Iterator[Hold]:
    """Holds a store's lock. On a disk the operating system frees it when the process ends, however it ends.

    Args:
        store_dir: The store; made if absent.
        is_patient: Whether to wait, in a bucket, for so long that a killed process counts as dead.
        tell: Told what is waited for.

    Raises:
        StoreError: Another process prepares it, or the folder cannot be written.
        StorageError: The same of a bucket.
    """
    if isinstance(store_dir, S3Place):
        with object_lock.locked(
            open_storage(store_dir),
            LOCK_NAME,
            wait_s=WAIT_S if is_patient else 0.0,
            on_wait=lambda holder: tell(f"{store_dir} is in use by {holder}: waiting {WAIT_S:.0f} s at most"),
        ) as held:
            _require_create_only(store_dir, held.fence)
            yield Hold(fence=held.fence, require=held.require)
    else:
        with _locked_folder(store_dir) as is_alone:
            yield Hold(is_alone=is_alone)


@contextmanager
def _locked_folder(store_dir: Path) -> Iterator[bool]:
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
        except OSError:
            yield False
            return
        yield True


def _require_create_only(store_dir: S3Place, fence: int) -> None:
    """Refuses a server that overwrites what was to be new: everything here rests on that it does not."""
    place = store_dir / LOCK_NAME / object_lock.name_of(fence)
    try:
        place.storage.create(place.key, b"")
    except FileExistsError:
        return
    raise StorageError(
        f"the server of {store_dir} overwrites objects that are to be new (it ignores `If-None-Match`)",
        hint="update it, or give `store` a folder that all nodes mount",
    )
