"""Whether images still are what they were when the store was made, by size and time."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_spec.images.files import ABSENT, FileState, file_state, resolve_beneath
from datasets_spec.images.limits import ImageRefused

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
        roots: Folder of images by subset.
    """
    batches = states.to_batches(max_chunksize=_IMAGES_PER_TASK)
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        tasks = [threads.submit(_is_unchanged, batch, roots) for batch in batches]
        is_unchanged = all(task.result() for task in as_completed(tasks))
        threads.shutdown(cancel_futures=True)
    return is_unchanged


def states_of(places: Sequence[tuple[str, str]]) -> list[FileState]:
    """Returns size and time of images, ``ABSENT`` where there is none or it may not be looked for.

    Args:
        places: Folder of images and path there, of every image; those of one folder stand together.
    """
    blocks = [places[start : start + _IMAGES_PER_TASK] for start in range(0, len(places), _IMAGES_PER_TASK)]
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        return [state for states in threads.map(_states, blocks) for state in states]


def _states(places: Sequence[tuple[str, str]]) -> list[FileState]:
    folders: dict[tuple[str, str], str | None] = {}
    return [_state(root, published, folders) for root, published in places]


def _is_unchanged(batch: pa.RecordBatch, roots: Mapping[str, str]) -> bool:
    folders: dict[tuple[str, str], str | None] = {}
    columns = (batch.column(name).to_pylist() for name in ("subset", "path", "num_bytes", "mtime_ns"))
    for subset, published, num_bytes, mtime_ns in zip(*columns, strict=True):
        now = _state(roots[subset], published, folders)
        if (now.num_bytes, now.mtime_ns) != (num_bytes, mtime_ns):
            return False
    return True


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
        return file_state(resolve_beneath(Path(root), published))
    except ImageRefused:
        return ABSENT


def _resolved_folder(root: str, folder: str) -> str | None:
    try:
        return str(resolve_beneath(Path(root), folder))
    except ImageRefused:
        return None
