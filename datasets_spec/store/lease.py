"""A reader's hold on a generation of a store, which keeps it from being removed."""

from __future__ import annotations

import atexit
import fcntl
import os
import threading
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from datasets_spec.errors import StorageError
from datasets_spec.storage.lock import END_WAIT_S
from datasets_spec.storage.place import Place, S3Place

LEASE_NAME: Final = ".lease"
# Of a store in a bucket: objects `leases/GENERATION/...`, beside the generations, so that none is removed with one.
LEASES: Final = "leases"
# A reader that wrote no sign of life for so long is dead: what it read stays that much longer. More than a lock's
# minute, because a study that sleeps with its laptop's lid must find its rows again.
LEASE_LIFE_S: Final = 600.0
_SIGNS: Final = 3


class Lease:
    """A reader's hold on a generation; ends with `release`, with this object, or with the process.

    Args:
        end: Ends it, or begins to; it may be called by any thread, and must wait for none.
        wait: Waits until it has ended, or for a few seconds.
    """

    def __init__(self, end: Callable[[], object], wait: Callable[[], object] = lambda: None) -> None:
        self._end = weakref.finalize(self, end)
        self._wait = wait

    def release(self) -> None:
        """Ends it, and returns when it has ended or its bucket does not answer. Safe to call twice."""
        self._end()
        self._wait()


def take_lease(generation: Place) -> Lease | None:
    """Takes a shared lock that keeps a generation from being removed.

    Args:
        generation: Folder of the generation.

    Returns:
        The lease; None where the folder is not there, or the file system has no locks or cannot be written to.

    Raises:
        BlockingIOError: The generation is being removed.
    """
    if isinstance(generation, S3Place):
        return _lease_in_bucket(generation)
    try:
        descriptor = _open(generation, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return Lease(lambda: os.close(descriptor))


def taken_away(folder: Path, name: str) -> Path | None:
    """Renames a generation that nobody holds, so that nobody opens half of it; None where somebody holds it.

    Args:
        folder: Folder of the generation.
        name: Its new name.
    """
    try:
        descriptor = _open(folder, os.O_WRONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return folder.rename(folder.with_name(name))
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _open(generation: Path, mode: int) -> int:
    try:
        return os.open(generation / LEASE_NAME, mode)
    except FileNotFoundError:
        # Generations of earlier versions have none.
        return os.open(generation / LEASE_NAME, mode | os.O_CREAT, 0o666)


def leases_of(generation: S3Place) -> S3Place:
    """Returns the folder of the leases of a generation.

    Args:
        generation: Folder of the generation: two below the store's.
    """
    store_dir = S3Place(generation.bucket, generation.key.rpartition("/")[0].rpartition("/")[0])
    return store_dir / LEASES / generation.name


def is_leased(generation: S3Place) -> bool:
    """Says whether somebody reads a generation; leases of readers that died go.

    Args:
        generation: Folder of the generation.
    """
    storage = generation.storage
    for state in list(storage.objects(leases_of(generation).before)):
        age_s = storage.age_s(state.key)
        if age_s is not None and age_s <= LEASE_LIFE_S:
            return True
        storage.remove(state.key)
    return False


def _lease_in_bucket(generation: S3Place) -> Lease | None:
    """The same in a bucket: an object that is written again and again; None where it may not be written."""
    place, done = leases_of(generation) / uuid.uuid4().hex, threading.Event()
    try:
        place.storage.replace(place.key, b"")
    except StorageError:
        return None

    def live() -> None:
        while not done.wait(LEASE_LIFE_S / _SIGNS):
            with suppress(StorageError, OSError):  # the next sign may come through
                place.storage.replace(place.key, b"")
        # Here, so that no sign comes behind it, and no fork removes what its parent holds.
        with suppress(StorageError, OSError):  # then it is found too old
            place.storage.remove(place.key)

    thread = threading.Thread(target=live, name="lease", daemon=True)
    thread.start()
    lease = Lease(done.set, partial(thread.join, timeout=END_WAIT_S))
    atexit.register(_release, weakref.ref(lease))
    return lease


def _release(reference: weakref.ref[Lease]) -> None:
    """At the end of a process nobody else waits for the removal."""
    if (lease := reference()) is not None:
        lease.release()
