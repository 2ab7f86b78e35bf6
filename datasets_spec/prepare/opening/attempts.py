"""How often a piece of work was begun: Ray does again, without a word and without end, what ended its process."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from datasets_spec.canonical import content_hash, short_hash

# Beyond these it is the work that ends its process; nodes that die under one piece of it so often are rarer.
MAX_ATTEMPTS: Final = 5
# In the folder of staged rows, where readers of Parquet pass over it.
_FOLDER: Final = ".attempts"


def begin(staging: Path, work: Iterable[object]) -> int:
    """Notes that a piece of work is begun; it is on disk before the work can end its process.

    Args:
        staging: Folder of staged rows, seen by all nodes.
        work: What tells this piece from others.

    Returns:
        Which attempt this is, counted from 1.
    """
    (staging / _FOLDER).mkdir(exist_ok=True)
    with _mark_of(staging, work).open("ab") as file:
        file.write(b".")
        file.flush()
        return file.tell()


def num_begun(staging: Path, work: Iterable[object]) -> int:
    """Returns how often a piece of work was begun.

    Args:
        staging: Folder of staged rows.
        work: What tells this piece from others.
    """
    try:
        return _mark_of(staging, work).stat().st_size
    except FileNotFoundError:
        return 0


def _mark_of(staging: Path, work: Iterable[object]) -> Path:
    return staging / _FOLDER / short_hash(content_hash(list(work)))


def num_repeated(staging: Path) -> int:
    """Returns how many pieces of work were begun more than once.

    Args:
        staging: Folder of staged rows.
    """
    return sum(path.stat().st_size > 1 for path in (staging / _FOLDER).glob("*"))
