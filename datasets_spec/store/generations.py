"""Generations of a store: one is current, others stay while somebody reads them."""

from __future__ import annotations

import fcntl
import os
import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from datasets_spec.errors import StoreError
from datasets_spec.packs.unused import remove_unused
from datasets_spec.store.manifest import read_manifest

GENERATIONS = "generations"
LOCK_NAME = ".lock"
LEASE_NAME = ".lease"
# Renamed before it is deleted, so that nobody opens half a generation.
_REMOVED = ".removed-"


class Lease:
    """A reader's hold on a generation; ends with `release`, with this object, or with the process.

    Args:
        descriptor: The generation's lease file, locked as shared.
    """

    def __init__(self, descriptor: int) -> None:
        self.release = weakref.finalize(self, os.close, descriptor)


def take_lease(generation: Path) -> Lease | None:
    """Takes a shared lock that keeps a generation from being removed.

    Args:
        generation: Folder of the generation.

    Returns:
        The lease; None where the folder is not there, or the file system has no locks or cannot be written to.

    Raises:
        BlockingIOError: The generation is being removed.
    """
    try:
        descriptor = _open(generation / LEASE_NAME, os.O_RDONLY)
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
    return Lease(descriptor)


def _open(path: Path, mode: int) -> int:
    try:
        return os.open(path, mode)
    except FileNotFoundError:
        # Generations of earlier versions have none.
        return os.open(path, mode | os.O_CREAT, 0o666)


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """A generation that is not current.

    Args:
        name: Name of its folder.
        num_bytes: Size of its files.
    """

    name: str
    num_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """What became of the generations that are not current.

    Args:
        removed: Those that nobody held.
        held: Those that stay, because they are read or the file system does not say.
        num_bytes: Size of what was removed, packs that no generation uses any more included.
    """

    removed: tuple[Generation, ...] = ()
    held: tuple[Generation, ...] = ()
    num_bytes: int = 0


def remove_unheld(store_dir: Path, current: str | None) -> Removal:
    """Removes the generations that are not current and that nobody holds, and what only they used.

    The caller has the store's lock.

    Args:
        store_dir: The store.
        current: Folder of the current generation, as in the manifest; None where there is none.
    """
    removed, held = [], []
    for folder in sorted((store_dir / GENERATIONS).iterdir()):
        if folder == store_dir / (current or "") or not folder.is_dir():
            continue
        found = Generation(name=folder.name.removeprefix(_REMOVED), num_bytes=_num_bytes(folder))
        place = folder if folder.name.startswith(_REMOVED) else _taken_away(folder)
        if place is None:
            held.append(found)
        else:
            shutil.rmtree(place, ignore_errors=True)
            removed.append(found)
    num_bytes = sum(old.num_bytes for old in removed)
    num_bytes += remove_unused(store_dir, filter(Path.is_dir, (store_dir / GENERATIONS).iterdir()))
    return Removal(removed=tuple(removed), held=tuple(held), num_bytes=num_bytes)


def _taken_away(folder: Path) -> Path | None:
    """Renames a generation that nobody holds; None where somebody does."""
    try:
        descriptor = _open(folder / LEASE_NAME, os.O_WRONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return folder.rename(folder.with_name(_REMOVED + folder.name))
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _num_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def collect_garbage(store_dir: Path) -> Removal:
    """Removes what is left of earlier generations, unless somebody reads it.

    Args:
        store_dir: The store.

    Raises:
        StoreError: The store is being prepared, its manifest cannot be read, or the folder cannot be written.
    """
    if not (store_dir / GENERATIONS).is_dir():
        return Removal()
    with locked(store_dir):
        manifest = read_manifest(store_dir)
        return remove_unheld(store_dir, manifest.generation if manifest else None)


@contextmanager
def locked(store_dir: Path) -> Iterator[bool]:
    """Holds the store's lock; the operating system frees it when the process ends, however it ends.

    Args:
        store_dir: The store; made if absent.

    Yields:
        Whether there is a lock: some file systems have none.

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
        except OSError:
            yield False
            return
        yield True
