"""What ties two rows to one split: bytes, pixels, near copies, slices, patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets_spec.splits.hashes import Codes, Hashes
from datasets_spec.splits.row_table import RowTable

# What splits are drawn by, so they stay as they are.
LINK_PREFIXES = {"bytes": "bytes:", "pixels": "image:", "near": "near:", "slices": "slice:", "group": "group:"}


class Edges(NamedTuple):
    """Ties of rows to names; one may occur several times.

    Args:
        rows: The row of every tie.
        names: The name of every tie, a position among the level's names.
        num_names: How many names the level has.
    """

    rows: Codes
    names: Codes
    num_names: int

    def of(self, chosen: NDArray[np.bool_]) -> Edges:
        """Returns the ties of some rows.

        Args:
            chosen: Of every row, whether it is one of them.
        """
        is_chosen = chosen[self.rows]
        return self if is_chosen.all() else Edges(self.rows[is_chosen], self.names[is_chosen], self.num_names)

    def of_shared_names(self) -> Edges:
        """Returns the ties to names that have several; the others tie nothing to anything."""
        is_shared = (np.bincount(self.names, minlength=self.num_names) > 1)[self.names]
        return Edges(self.rows[is_shared], self.names[is_shared], self.num_names)


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """What ties the rows of a table.

    Args:
        table: The rows.
        near: Of every image of the table, the image that its copies are called by; -1 where it has none.
        slices: The same for neighbouring slices and frames.
    """

    table: RowTable
    near: Codes
    slices: Codes

    def edges(self, level: str) -> Edges:
        """Returns the ties of all rows at a level.

        Args:
            level: One of ``LEVELS``.
        """
        table = self.table
        if level in ("near", "slices"):
            names = (self.near if level == "near" else self.slices)[table.images.codes]
            return Edges(table.images.rows[names >= 0], names[names >= 0], len(table.images.names))
        lists = {"bytes": table.files, "pixels": table.images, "group": table.groups}[level]
        return Edges(lists.rows, lists.codes, len(lists.names))

    def names(self, level: str) -> Hashes:
        """Returns the names that rows are tied to at a level.

        Args:
            level: One of ``LEVELS``.
        """
        table = self.table
        return {"bytes": table.files.names, "group": table.groups.names}.get(level, table.images.names)
