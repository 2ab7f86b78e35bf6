"""What is known of an image's file without opening it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FileState:
    """Size and modification time of a file; size -1 where there is none.

    Of an object in a bucket the time is that of :class:`datasets_spec.storage.storage.ObjectState`: another one for
    another content.
    """

    num_bytes: int
    mtime_ns: int


ABSENT = FileState(num_bytes=-1, mtime_ns=-1)
