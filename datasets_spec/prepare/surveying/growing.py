"""Columns that grow by chunks without being held twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class GrowingColumns:
    """Columns by name.

    A list of chunks and its concatenation would both be held, and thousands of freed chunks are not given back to the
    system: 250 bytes a row more, measured. A ``bytearray`` grows in place.
    """

    def __init__(self) -> None:
        self._values: dict[str, bytearray] = {}
        self._like: dict[str, NDArray[Any]] = {}

    def add(self, **chunks: NDArray[Any]) -> None:
        """Adds rows to columns.

        Args:
            chunks: Values by column; always of one type and width.
        """
        for name, values in chunks.items():
            self._like.setdefault(name, values[:0])
            self._values.setdefault(name, bytearray()).extend(values.tobytes())

    def pop(self, name: str) -> Any:
        """Returns a column, and keeps it no longer.

        Args:
            name: Its name.
        """
        like = self._like.pop(name)
        return np.frombuffer(self._values.pop(name), like.dtype).reshape(-1, *like.shape[1:])
