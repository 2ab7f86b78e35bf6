"""What a place for files can do, be it a folder or a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from datasets_spec.errors import StorageError


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectState:
    """What is known of an object without its content.

    Args:
        key: Its name, from the root of the storage on, with slashes.
        num_bytes: Its size.
        mtime_ns: When it was written, by the clock of the storage. A bucket tells seconds; below them stands a number
            made of the object's tag, so that another content of the same second is told from it.
        tag: Another one for another content, as far as the storage knows: the ETag of a bucket, "" on a local disk.
    """

    key: str
    num_bytes: int
    mtime_ns: int
    tag: str = ""


class Storage(Protocol):
    """Objects under keys beneath a root; every verb says in words, as a :class:`StorageError`, why it cannot.

    What is written is seen whole or not at all, and by every verb as soon as the writing one has returned.
    """

    @property
    def root(self) -> str:
        """Where it is, as a user names it."""
        ...

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Returns an object's content, or the part of it that is there.

        Args:
            key: Its name.
            offset: First byte.
            length: How many bytes; all that follow where it is None.

        Raises:
            FileNotFoundError: There is no such object.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """Opens an object for reading at any position.

        Args:
            key: Its name.

        Raises:
            FileNotFoundError: There is no such object.
        """
        ...

    def state(self, key: str) -> ObjectState | None:
        """Returns what is known of an object; None where there is none.

        Args:
            key: Its name.
        """
        ...

    def objects(self, prefix: str = "") -> Iterator[ObjectState]:
        """Yields every object at any depth, in no order: servers have orders of their own.

        Args:
            prefix: What keys begin with.
        """
        ...

    def children(self, folder: str = "") -> tuple[list[str], list[ObjectState]]:
        """Returns the names of the folders directly in a folder, and its objects, each ordered by bytes of the name.

        Args:
            folder: Key of the folder, without a slash at its end; "" for the root.
        """
        ...

    def create(self, key: str, data: bytes) -> None:
        """Writes a new object; of any number of writers exactly one succeeds.

        Args:
            key: Its name.
            data: Its content.

        Raises:
            FileExistsError: There is one.
        """
        ...

    def replace(self, key: str, data: bytes) -> None:
        """Writes an object, be there one or not; who reads meanwhile sees the old one or the new one.

        Args:
            key: Its name.
            data: Its content.
        """
        ...

    def writer(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Opens a new object for writing; it is published whole when the block ends without an exception.

        Args:
            key: Its name, which no other writer has: of two that end in the same moment some servers refuse neither.

        Raises:
            FileExistsError: At the end of the block: there is one by now.
        """
        ...

    def remove(self, key: str) -> None:
        """Removes an object, if it is there.

        Args:
            key: Its name.
        """
        ...

    def sweep(self, prefix: str = "", *, require: Callable[[], None] = lambda: None) -> int:
        """Removes what writers left that were killed before they published; nobody may be writing there.

        Args:
            prefix: What their keys begin with.
            require: Raises where somebody may be by now. Called between looking and removing: what is begun after it
                stays.

        Returns:
            How many there were.
        """
        ...

    def age_s(self, key: str) -> float | None:
        """Returns the seconds since an object was written, both times by the storage's clock; None where there is none.

        Args:
            key: Its name.
        """
        ...


def checked_key(key: str) -> str:
    """Returns a key that means the same on every storage.

    Args:
        key: Names with slashes between them.

    Raises:
        StorageError: It is empty, starts or ends with a slash, or climbs.
    """
    parts = key.split("/")
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise StorageError(f"no usable name for an object: {key!r}")
    return key
