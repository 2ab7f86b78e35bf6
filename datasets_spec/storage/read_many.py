"""Reads many objects, or parts of them, some ahead of whoever takes them one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

from datasets_spec.storage.place import S3Place
from datasets_spec.storage.s3_bucket import NUM_AHEAD

if TYPE_CHECKING:
    from datasets_spec.storage.s3 import Fetched


class Range(NamedTuple):
    """What to read of an object.

    Args:
        place: The object.
        offset: First byte.
        length: How many bytes; all that follow where it is None.
    """

    place: S3Place
    offset: int = 0
    length: int | None = None


def read_many(wanted: Iterable[Range], *, num_ahead: int = NUM_AHEAD) -> Iterator[bytes | None]:
    """Reads parts of objects, several at a time.

    Args:
        wanted: The parts.
        num_ahead: How many are asked for before they are taken; so many are in memory.

    Yields:
        The bytes of each, in their order; None where there is no such object.

    Raises:
        StorageError: A bucket cannot be used.
    """
    running: deque[Future[Fetched]] = deque()
    try:
        for place, offset, length in wanted:
            running.append(place.storage.start_fetch(place.key, offset=offset, length=length))
            if len(running) >= num_ahead:
                yield _taken(running.popleft())
        while running:
            yield _taken(running.popleft())
    finally:
        for future in running:
            future.cancel()


def _taken(future: Future[Fetched]) -> bytes | None:
    try:
        return future.result().data
    except FileNotFoundError:
        return None
