"""Whether images still are what they were when the store was made, by size and time."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

from datasets_spec.images.file_state import ABSENT, FileState
from datasets_spec.images.files import file_state, resolve_beneath
from datasets_spec.images.limits import ImageRefused
from datasets_spec.storage.place import S3Place, as_place

if TYPE_CHECKING:
    import pyarrow as pa

# Threads wait for a network's file system, not for a processor: one look there takes about a millisecond.
_NUM_THREADS = 16
_IMAGES_PER_TASK = 4096
# Folder and name of a path whose folder decides whether it leads out of the root.
_PLAIN = re.compile(r"(?:([^:\\~\0]+)/)?([^/:\\~\0]+)")


def images_unchanged(states: pa.Table, roots: Mapping[str, str]) -> bool:
    """Says whether every image still has the size and time it had when the store was made.

    Args:
        states: Table of ``subset``, ``path``, ``num_bytes`` and ``mtime_ns``, sorted by the first two.
        roots: Folder of images by subset, or ``s3://bucket/prefix``.
    """
    batches = states.to_batches(max_chunksize=_IMAGES_PER_TASK)
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        tasks = [threads.submit(_is_unchanged, batch, roots) for batch in batches]
        is_unchanged = all(task.result() for task in as_completed(tasks))
        threads.shutdown(cancel_futures=True)
    return is_unchanged


def _is_unchanged(batch: pa.RecordBatch, roots: Mapping[str, str]) -> bool:
    folders: dict[tuple[str, str], str | None] = {}
    places = {root: as_place(root) for root in roots.values()}
    buckets = {root: _ObjectStates(place) for root, place in places.items() if isinstance(place, S3Place)}
    columns = (batch.column(name).to_pylist() for name in ("subset", "path", "num_bytes", "mtime_ns"))
    for subset, published, num_bytes, mtime_ns in zip(*columns, strict=True):
        root = roots[subset]
        now = buckets[root].state(published) if root in buckets else _state(root, published, folders)
        if (now.num_bytes, now.mtime_ns) != (num_bytes, mtime_ns):
            return False
    return True


class _ObjectStates:
    """States of objects, by one listing a folder: a thousand an answer, where a look at each costs a request."""

    def __init__(self, root: S3Place) -> None:
        self._root = root
        self._folder: str | None = None
        self._states: dict[str, FileState] = {}

    def state(self, published: str) -> FileState:
        """State of an image; rows are in the order of their paths, so that one folder at a time is enough."""
        try:
            place = resolve_beneath(self._root, published)
        except ImageRefused:
            return ABSENT
        folder = place.key.rpartition("/")[0]
        if folder != self._folder:
            objects = self._root.storage.children(folder)[1]
            self._states = {
                found.key: FileState(num_bytes=found.num_bytes, mtime_ns=found.mtime_ns) for found in objects
            }
            self._folder = folder
        return self._states.get(place.key, ABSENT)


def _state(root: str, published: str, folders: dict[tuple[str, str], str | None]) -> FileState:
    """State of an image; its folder is resolved once, and a link is followed only where it may be."""
    plain = _PLAIN.fullmatch(published)
    if plain is None or plain[2] in (".", ".."):
        return _resolved_state(root, published)
    folder = (root, plain[1] or ".")
    if folder not in folders:
        folders[folder] = _resolved_folder(*folder)
    place = folders[folder]
    if place is None:
        return ABSENT
    try:
        found = os.lstat(f"{place}/{plain[2]}")
    except (OSError, ValueError):
        return ABSENT
    if stat.S_ISLNK(found.st_mode):
        return _resolved_state(root, published)
    if not stat.S_ISREG(found.st_mode):
        return ABSENT
    return FileState(num_bytes=found.st_size, mtime_ns=found.st_mtime_ns)


def _resolved_state(root: str, published: str) -> FileState:
    try:
        return file_state(resolve_beneath(root, published))
    except ImageRefused:
        return ABSENT


def _resolved_folder(root: str, folder: str) -> str | None:
    try:
        return str(resolve_beneath(root, folder))
    except ImageRefused:
        return None
