"""Whether images still are what they were when the store was made, by size and time."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_spec.images.file_state import ABSENT, FileState
from datasets_spec.images.files import file_state, resolve_beneath
from datasets_spec.images.limits import ImageRefused
from datasets_spec.storage.place import S3Place, as_place
from datasets_spec.storage.storage import ObjectState

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
    in_buckets = [subset for subset, root in roots.items() if isinstance(as_place(root), S3Place)]
    if in_buckets:
        objects, states = _divided(states, in_buckets)
        if not _are_unchanged(objects, roots):
            return False
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
    is_object = {root: isinstance(as_place(root), S3Place) for root in {root for root, _ in places}}
    if any(is_object.values()):
        objects = iter(_states_of_objects([place for place in places if is_object[place[0]]]))
        files = iter(states_of([place for place in places if not is_object[place[0]]]))
        return [next(objects if is_object[root] else files) for root, _ in places]
    blocks = [places[start : start + _IMAGES_PER_TASK] for start in range(0, len(places), _IMAGES_PER_TASK)]
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        return [state for states in threads.map(_states, blocks) for state in states]


def _states_of_objects(places: Sequence[tuple[str, str]]) -> list[FileState]:
    """By one listing a folder, a thousand states an answer: a look at each would cost a request."""
    found: list[S3Place | None] = []
    for root, published in places:
        try:
            place = resolve_beneath(root, published)
        except ImageRefused:
            place = None
        found.append(place if isinstance(place, S3Place) else None)
    wanted = {place for place in found if place is not None}
    folders = sorted({S3Place(place.bucket, place.key.rpartition("/")[0]) for place in wanted})
    states: dict[S3Place, FileState] = {}
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        for folder, objects in zip(folders, threads.map(_listed, folders), strict=True):
            for item in objects:
                if (place := S3Place(folder.bucket, item.key)) in wanted:
                    states[place] = FileState(num_bytes=item.num_bytes, mtime_ns=item.mtime_ns)
    return [ABSENT if place is None else states.get(place, ABSENT) for place in found]


def _listed(folder: S3Place) -> list[ObjectState]:
    return folder.storage.children(folder.key)[1]


def _divided(states: pa.Table, subsets: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Rows of some subsets, and the others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_among = pc.is_in(states.column("subset"), value_set=pa.array(subsets, pa.string()))
    return states.filter(is_among), states.filter(pc.invert(is_among))


def _are_unchanged(objects: pa.Table, roots: Mapping[str, str]) -> bool:
    columns = (objects.column(name).to_pylist() for name in ("subset", "path", "num_bytes", "mtime_ns"))
    subsets, paths, sizes, times = columns
    now = states_of([(roots[subset], path) for subset, path in zip(subsets, paths, strict=True)])
    return [(state.num_bytes, state.mtime_ns) for state in now] == list(zip(sizes, times, strict=True))


def _states(places: Sequence[tuple[str, str]]) -> list[FileState]:
    folders: dict[tuple[str, str], str | None] = {}
    return [_state(root, published, folders) for root, published in places]


def _is_unchanged(batch: pa.RecordBatch, roots: Mapping[str, str]) -> bool:
    folders: dict[tuple[str, str], str | None] = {}
    columns = (batch.column(name).to_pylist() for name in ("subset", "path", "num_bytes", "mtime_ns"))
    for subset, published, num_bytes, mtime_ns in zip(*columns, strict=True):
        now = _state(roots[subset], published, folders)
        if (now.num_bytes, now.mtime_ns) == (num_bytes, mtime_ns):
            continue
        # What could not be read was taken for absent: it still is as long as it may not be read.
        if num_bytes != ABSENT.num_bytes or os.access(resolve_beneath(Path(roots[subset]), published), os.R_OK):
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
        return file_state(resolve_beneath(root, published))
    except ImageRefused:
        return ABSENT


def _resolved_folder(root: str, folder: str) -> str | None:
    try:
        return str(resolve_beneath(root, folder))
    except ImageRefused:
        return None
