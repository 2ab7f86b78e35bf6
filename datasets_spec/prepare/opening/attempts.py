"""How often a piece of work was begun: Ray does again, without a word and without end, what ended its process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from datasets_spec.canonical import content_hash, short_hash
from datasets_spec.storage.files import files_in, sizes_below
from datasets_spec.storage.place import Place, S3Place

# Beyond these it is the work that ends its process; nodes that die under one piece of it so often are rarer.
MAX_ATTEMPTS: Final = 5
# In the folder of staged rows, where readers of Parquet pass over it. A piece of work has a file there, with a byte an
# attempt; in a bucket, where nothing is appended, a folder with an object an attempt.
_FOLDER: Final = ".attempts"


def begin(staging: Place, work: Iterable[object]) -> int:
    """Notes that a piece of work is begun; it is on disk before the work can end its process.

    Args:
        staging: Folder of staged rows, seen by all nodes.
        work: What tells this piece from others.

    Returns:
        Which attempt this is, counted from 1.
    """
    mark = _mark_of(staging, work)
    if isinstance(mark, S3Place):
        return _begin_in_bucket(mark)
    mark.parent.mkdir(exist_ok=True)
    with mark.open("ab") as file:
        file.write(b".")
        file.flush()
        return file.tell()


def _begin_in_bucket(mark: S3Place) -> int:
    number = len(files_in(mark)) + 1
    while True:
        place = mark / str(number)
        try:
            place.storage.create(place.key, b"")
        except FileExistsError:  # Ray has begun it twice at once
            number += 1
        else:
            return number


def num_begun(staging: Place, work: Iterable[object]) -> int:
    """Returns how often a piece of work was begun.

    Args:
        staging: Folder of staged rows.
        work: What tells this piece from others.
    """
    mark = _mark_of(staging, work)
    if isinstance(mark, S3Place):
        return len(files_in(mark))
    try:
        return mark.stat().st_size
    except FileNotFoundError:
        return 0


def _mark_of(staging: Place, work: Iterable[object]) -> Place:
    return staging / _FOLDER / short_hash(content_hash(list(work)))


def num_repeated(staging: Place) -> int:
    """Returns how many pieces of work were begun more than once.

    Args:
        staging: Folder of staged rows.
    """
    marks = sizes_below(staging / _FOLDER)
    attempts = marks.values() if isinstance(staging, Path) else Counter(Path(mark).parent for mark in marks).values()
    return sum(num > 1 for num in attempts)
