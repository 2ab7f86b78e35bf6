"""Rows that are tables of this process instead of a store, each with its images; and blocks in Ray's object store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets_spec.errors import RecombineError
from trainers.rows.shared_blocks import Piece
from trainers.rows.stored_rows import StoredRows


@dataclass(frozen=True, kw_only=True)
class TableRows(StoredRows):
    """Rows by (subset, split)."""

    store: Any = None
    tables: Mapping[tuple[str, str], Any]

    def _read(self, subset: str, split: str, num_rows: int | None) -> Any:
        if (subset, split) not in self.tables:
            raise RecombineError(f"there are no rows of {subset}/{split}")
        table = self.tables[(subset, split)]
        if num_rows is not None and num_rows > table.num_rows:
            raise RecombineError(f"there are {table.num_rows} rows, {num_rows} were asked for")
        return table.slice(0, num_rows)


def shared_rows(table: Any) -> list[Piece]:
    """A partition that is one block."""
    import ray

    return [Piece(block=ray.put(table), num_rows=table.num_rows)]
