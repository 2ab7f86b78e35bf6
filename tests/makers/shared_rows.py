"""Tables of rows in Ray's object store, as a study's job leaves them."""

from __future__ import annotations

from typing import Any

from trainers.rows.shared_blocks import Piece


def shared_rows(table: Any) -> list[Piece]:
    """A partition that is one block."""
    import ray

    return [Piece(block=ray.put(table), num_rows=table.num_rows)]
