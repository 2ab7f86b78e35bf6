"""A large file that is being written: seen under its name once it is published, and not at all before."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from datasets_spec.atomic import sync
from datasets_spec.storage.place import Place

# A file of this name has no end yet, and never gets one where its process was killed.
UNFINISHED: Final = ".unfinished-"


class NewFile(Protocol):
    """A file that is being written."""

    def write(self, data: bytes) -> None:
        """Writes at its end."""
        ...

    def publish(self) -> None:
        """Gives it its name, when all of it is where it should be."""
        ...

    def abandon(self) -> None:
        """Removes it, unless it is published; safe to call twice."""
        ...


def new_file(place: Place) -> NewFile:
    """Begins a file.

    Args:
        place: Its name, which nobody else writes; its folder is there.
    """
    return _LocalFile(place) if isinstance(place, Path) else _Object(place.storage.writer(place.key))


class _LocalFile:
    def __init__(self, path: Path) -> None:
        self._path, self._unfinished = path, path.with_name(f"{UNFINISHED}{path.name}")
        self._file = self._unfinished.open("xb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def publish(self) -> None:
        self._file.close()
        sync(self._unfinished)
        # Renamed, not linked: some file systems of networks have no hard links.
        self._unfinished.rename(self._path)
        sync(self._path.parent)

    def abandon(self) -> None:
        self._file.close()
        self._unfinished.unlink(missing_ok=True)


class _AbandonedError(Exception):
    """Tells a writer that its object is not wanted."""


class _Object:
    def __init__(self, writer: AbstractContextManager[BinaryIO]) -> None:
        self._writer: AbstractContextManager[BinaryIO] | None = writer
        self._file = writer.__enter__()

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def publish(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.__exit__(None, None, None)

    def abandon(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.__exit__(_AbandonedError, _AbandonedError(), None)
