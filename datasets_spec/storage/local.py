"""A folder as a storage: plain calls of the operating system."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from datasets_spec.atomic import sync
from datasets_spec.errors import StorageError
from datasets_spec.storage.open_file import open_resolved
from datasets_spec.storage.storage import ObjectState, checked_key

# Files that are being written; a key cannot look like one, and no verb shows them.
_UNPUBLISHED = ".unpublished-"


class LocalStorage:
    """Files beneath a folder; links in it are not followed, the folder itself may be one.

    Args:
        folder: The folder; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.realpath(folder))

    @property
    def root(self) -> str:
        """Where it is."""
        return str(self._folder)

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See :class:`Storage`."""
        with self.open(key) as file, _in_words(f"read {key} in", self.root):
            file.seek(offset)
            return file.read(-1 if length is None else length)

    def open(self, key: str) -> BinaryIO:
        """See :class:`Storage`."""
        with _in_words(f"read {key} in", self.root):
            descriptor = open_resolved(self._place(key))
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise FileNotFoundError(errno.ENOENT, "is no regular file", key)
            return os.fdopen(descriptor, "rb")

    def state(self, key: str) -> ObjectState | None:
        """See :class:`Storage`."""
        with _in_words(f"look at {key} in", self.root):
            return _state(key, self._place(key))

    def objects(self, prefix: str = "") -> Iterator[ObjectState]:
        """See :class:`Storage`."""
        with _in_words("list", self.root):
            found = [
                os.path.relpath(os.path.join(top, name), self._folder)
                for top, _, names in os.walk(self._folder, onerror=_raise_unless_absent)
                for name in names
                if not name.startswith(_UNPUBLISHED)
            ]
        for key in found:
            if key.startswith(prefix) and (state := self.state(key)) is not None:
                yield state

    def children(self, folder: str = "") -> tuple[list[str], list[ObjectState]]:
        """See :class:`Storage`."""
        place = self._place(folder) if folder else self._folder
        with _in_words(f"list {folder} in", self.root):
            try:
                entries = sorted(os.scandir(place), key=lambda entry: os.fsencode(entry.name))
            except (FileNotFoundError, NotADirectoryError):
                return [], []
        before = f"{folder}/" if folder else ""
        names = [entry.name for entry in entries if not entry.name.startswith(_UNPUBLISHED)]
        states = (self.state(f"{before}{name}") for name in names)
        folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return folders, [state for state in states if state is not None]

    def create(self, key: str, data: bytes) -> None:
        """See :class:`Storage`."""
        with self.writer(key) as file:
            file.write(data)

    def replace(self, key: str, data: bytes) -> None:
        """See :class:`Storage`."""
        with self._unpublished(key) as (file, temporary, place):
            file.write(data)
            _flush(file)
            temporary.replace(place)

    @contextmanager
    def writer(self, key: str) -> Iterator[BinaryIO]:
        """See :class:`Storage`."""
        with self._unpublished(key) as (file, temporary, place):
            yield file
            _flush(file)
            # Unlike a renaming, a second name is refused where there is one.
            os.link(temporary, place)

    def remove(self, key: str) -> None:
        """See :class:`Storage`."""
        with _in_words(f"remove {key} from", self.root):
            self._place(key).unlink(missing_ok=True)

    def sweep(self, prefix: str = "", *, require: Callable[[], None] = lambda: None) -> int:
        """See :class:`Storage`."""
        found = self._folder.rglob(f"{_UNPUBLISHED}*")
        left = [path for path in found if self._published_name(path).startswith(prefix)]
        require()
        with _in_words("remove from", self.root):
            for path in left:
                path.unlink(missing_ok=True)
        return len(left)

    def age_s(self, key: str) -> float | None:
        """See :class:`Storage`."""
        found = self.state(key)
        if found is None:
            return None
        # A network's file system has a clock of its own, by which files are stamped.
        with self._unpublished(key) as (file, _, _):
            return (os.fstat(file.fileno()).st_mtime_ns - found.mtime_ns) / 1e9

    def _place(self, key: str) -> Path:
        return self._folder / checked_key(key)

    def _published_name(self, temporary: Path) -> str:
        name = temporary.name.removeprefix(_UNPUBLISHED).split("-", maxsplit=1)[1]
        return temporary.with_name(name).relative_to(self._folder).as_posix()

    @contextmanager
    def _unpublished(self, key: str) -> Iterator[tuple[BinaryIO, Path, Path]]:
        """A new file beside a place, open for writing; what is not given another name until the end is gone."""
        place = self._place(key)
        temporary = place.with_name(f"{_UNPUBLISHED}{secrets.token_hex(8)}-{place.name}")
        with _in_words(f"write {key} in", self.root):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as file:
                    yield file, temporary, place
            finally:
                temporary.unlink(missing_ok=True)
            sync(place.parent)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _state(key: str, place: Path) -> ObjectState | None:
    try:
        found = os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return ObjectState(key=key, num_bytes=found.st_size, mtime_ns=found.st_mtime_ns)


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _in_words(what: str, root: str) -> Iterator[None]:
    """Says what the system refuses; absent and existing files stay errors of their own kind."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, StorageError):
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageError(f"cannot {what} {root}: {reason}", hint=_HINTS.get(error.errno or 0)) from None


_HINTS = {
    errno.ENOSPC: "make room, or choose another folder",
    errno.EDQUOT: "make room, or choose another folder",
    errno.EACCES: "check the rights of the folder",
    errno.EROFS: "it is mounted for reading only: choose another folder",
    errno.EPERM: "the file system may have no hard links, by which a file is published: choose another folder",
}
