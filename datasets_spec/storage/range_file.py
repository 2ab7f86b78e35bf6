"""A file whose bytes are asked for range by range."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, Final

# A request costs some 20 ms from S3 whatever it brings: as long as 1-2 MB take. Twice that keeps a reader busy.
BUFFER_BYTES: Final = 4 << 20


class RangeFile(io.RawIOBase):
    """Reads at a position, remembered between calls; to be wrapped in a buffer.

    Args:
        read: Returns the bytes from an offset on, so many or fewer.
        num_bytes: Size of the file.
    """

    def __init__(self, read: Callable[[int, int], bytes], num_bytes: int) -> None:
        self._read = read
        self._num_bytes = num_bytes
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Returns the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the position, which may lie behind the end.

        Args:
            offset: Bytes from there.
            whence: Start, position or end.
        """
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._num_bytes}[whence]
        if start + offset < 0:
            raise ValueError("before the start of the file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Reads as much as fits.

        Args:
            buffer: Where to.
        """
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._num_bytes - self._position)
        if length <= 0:
            return 0
        data = self._read(self._position, length)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
