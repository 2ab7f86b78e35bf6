"""A lock made of objects that can be created once: for storages that know no other.

Whoever takes the lock creates the object with the next number, so of any number exactly one does. The number is the
owner's fence: what an owner publishes carries it in its name, and of two the higher one counts; so an owner that slept
and was taken for dead cannot undo what its successor did. The owner writes its object again and again as a sign of
life; one that is older than the lock's time, by the storage's own clock, belongs to a dead owner.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from datasets_spec.errors import StorageError
from datasets_spec.storage.storage import Storage

DEFAULT_LIFE_S: Final = 60.0
# Signs of life in the time after which an owner counts as dead: two may be lost.
_SIGNS: Final = 3
# The clock of a bucket ticks in seconds, twice in an age.
_TICKS_S: Final = 2.0
_DIGITS: Final = 10
_LOOK_S: Final = 1.0
# How long an end waits for a sign of life that is being written: a bucket's call is repeated for minutes.
END_WAIT_S: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """Who holds a lock.

    Args:
        name: Machine and process, to be told.
        token: Tells this hold from every other.
        is_done: Whether it was given back.
    """

    name: str
    token: str
    is_done: bool = False

    @property
    def data(self) -> bytes:
        """As written."""
        return json.dumps({"name": self.name, "token": self.token, "is_done": self.is_done}).encode()


class HeldLock:
    """A lock that was taken.

    Args:
        storage: Where it is.
        folder: Folder of its objects.
        fence: Number of this hold; every later hold has a higher one.
        owner: This process.
        life_s: Time without a sign of life after which others may take it.
        since_s: Reading of the monotonic clock before the first sign of life was written.
    """

    def __init__(
        self, storage: Storage, folder: str, *, fence: int, owner: Owner, life_s: float, since_s: float
    ) -> None:
        self.fence = fence
        self._storage, self._folder, self._owner, self._life_s = storage, folder, owner, life_s
        self._seen_s = since_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._live, name="lock", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Makes sure that nobody else has the lock by now; to be called before something is published.

        Raises:
            StorageError: The lock was lost.
        """
        newest = _newest(self._storage, self._folder)
        if newest != self.fence or time.monotonic() - self._seen_s > self._life_s:
            raise StorageError(
                f"the lock of {self._storage.root} was lost: no sign of life was written for {self._life_s:.0f} s",
                hint="what it wrote is not published; run again",
            )

    def release(self) -> None:
        """Gives the lock back; others need not wait, unless the storage does not answer."""
        self._done.set()
        self._thread.join(timeout=END_WAIT_S)

    def _live(self) -> None:
        while not self._done.wait(self._life_s / _SIGNS):
            now_s = time.monotonic()
            try:
                self._storage.replace(_key(self._folder, self.fence), self._owner.data)
            except (StorageError, OSError):
                continue  # the next sign may come through; `require` counts from the last that did
            self._seen_s = now_s
        # Here, so that no sign of life comes behind it, and nobody waits long for a storage that does not answer.
        done = Owner(name=self._owner.name, token=self._owner.token, is_done=True)
        with suppress(StorageError, OSError):  # then others wait until this hold is too old
            self._storage.replace(_key(self._folder, self.fence), done.data)


@contextmanager
def locked(
    storage: Storage,
    folder: str,
    *,
    wait_s: float = 0.0,
    life_s: float = DEFAULT_LIFE_S,
    on_wait: Callable[[str], None] = lambda holder: None,
) -> Iterator[HeldLock]:
    """Holds a lock while the block runs.

    Args:
        storage: Where the lock is.
        folder: Folder of its objects, which holds nothing else.
        wait_s: How long to wait for one who holds it.
        life_s: Time without a sign of life after which an owner counts as dead; the same for all who use the lock.
        on_wait: Told once who holds it, where it is waited for.

    Raises:
        StorageError: Another process holds it, or the storage cannot be used.
    """
    lock = take(storage, folder, wait_s=wait_s, life_s=life_s, on_wait=on_wait)
    try:
        yield lock
    finally:
        lock.release()


def take(
    storage: Storage,
    folder: str,
    *,
    wait_s: float = 0.0,
    life_s: float = DEFAULT_LIFE_S,
    on_wait: Callable[[str], None] = lambda holder: None,
) -> HeldLock:
    """Takes a lock; see :func:`locked`."""
    until_s, is_told = time.monotonic() + wait_s, False
    owner = Owner(name=f"process {os.getpid()} on {platform.node()}", token=uuid.uuid4().hex)
    while True:
        newest = _newest(storage, folder)
        holder = _holder(storage, folder, newest, life_s)
        since_s = time.monotonic()
        # The number behind the one that was found free, whatever was created since: then this is refused.
        if holder is None and _is_created(storage, folder, newest + 1, owner):
            return HeldLock(storage, folder, fence=newest + 1, owner=owner, life_s=life_s, since_s=since_s)
        if holder is not None and since_s >= until_s:
            raise StorageError(
                f"{storage.root} is in use by {holder}",
                hint=f"wait for it; of a dead process it is free after {life_s:.0f} s",
            )
        if holder is not None:
            if not is_told:
                on_wait(holder)
                is_told = True
            time.sleep(_LOOK_S)


def _holder(storage: Storage, folder: str, newest: int, life_s: float) -> str | None:
    """Who holds the lock, in words; None where it is free."""
    if newest == 0:
        return None
    try:
        found = json.loads(storage.read(_key(folder, newest)))
    except FileNotFoundError:
        return None  # a successor tidied up, and the next number is refused
    except ValueError:
        found = {}
    age_s = storage.age_s(_key(folder, newest))
    if found.get("is_done") or age_s is None or age_s > life_s + _TICKS_S:
        return None
    return f"{found.get('name', 'another process')}, whose last sign of life is {max(age_s, 0):.0f} s old"


def _is_created(storage: Storage, folder: str, fence: int, owner: Owner) -> bool:
    """Creates the object of a number; says whether it is ours and the highest."""
    try:
        storage.create(_key(folder, fence), owner.data)
    except FileExistsError:
        return False
    # Lower numbers are removed by the highest: who looked before that may have created one of them again.
    if _newest(storage, folder) != fence:
        storage.remove(_key(folder, fence))
        return False
    for number in _numbers(storage, folder):
        if number < fence:
            storage.remove(_key(folder, number))
    return True


def _newest(storage: Storage, folder: str) -> int:
    return max(_numbers(storage, folder), default=0)


def _numbers(storage: Storage, folder: str) -> list[int]:
    names = [state.key.rsplit("/", 1)[-1] for state in storage.objects(f"{folder}/")]
    return [int(name) for name in names if name.isdecimal()]  # network file systems leave names of their own


def name_of(fence: int) -> str:
    """Returns the name of the object of a hold; the order of names is that of the holds.

    Args:
        fence: Its number.
    """
    return f"{fence:0{_DIGITS}d}"


def _key(folder: str, fence: int) -> str:
    return f"{folder}/{name_of(fence)}"
