"""Encoded rows of a study in blocks that no process ever joins: by subset and split, in Ray's object store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets_spec.errors import RecombineError
from trainers.rows.stored_rows import Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Rows of a partition that follow each other in a block.

    Attributes:
        block: reference of an Arrow table in Ray's object store.
        num_rows: how many.
        offset: the first of them in the block.
    """

    block: Any
    num_rows: int
    offset: int = 0


def read_pieces(parts: Mapping[Place, Sequence[Piece]], place: Place, num_rows: int | None) -> Any:
    """Return the first rows of a partition (all when None) as an Arrow table over shared memory.

    Raises:
        RecombineError: the partition was not loaded or is shorter than asked for.
    """
    import pyarrow as pa
    import ray

    if place not in parts:
        raise RecombineError(f"rows of {'/'.join(place)} were not loaded for this study")
    loaded = sum(piece.num_rows for piece in parts[place])
    if num_rows is not None and loaded < num_rows:
        raise RecombineError(f"{'/'.join(place)} has {loaded} rows loaded, {num_rows} were asked for")
    missing = loaded if num_rows is None else num_rows
    needed: list[tuple[Piece, int]] = []
    for piece in parts[place]:
        if missing > 0 or not needed:
            needed.append((piece, min(missing, piece.num_rows)))
            missing -= piece.num_rows
    blocks = ray.get([piece.block for piece, _ in needed])
    tables = [block.slice(piece.offset, count) for block, (piece, count) in zip(blocks, needed, strict=True)]
    return pa.concat_tables(tables, promote_options="permissive")


def index_blocks(blocks: Sequence[Any], wanted: Mapping[Place, int]) -> dict[Place, list[Piece]]:
    """Say where the rows of each partition lie, without bringing the blocks here.

    Args:
        blocks: references of Arrow tables with `subset`, `split` and `order`.
        wanted: rows of each partition.

    Raises:
        RecombineError: there are not exactly these rows.
    """
    import ray

    look = ray.remote(num_cpus=0)(runs_of)
    runs_of_blocks = ray.get([look.remote(block) for block in blocks])
    found = [
        (place, first, Piece(block=block, num_rows=num_rows, offset=offset))
        for block, runs in zip(blocks, runs_of_blocks, strict=True)
        for place, first, num_rows, offset in runs
    ]
    return in_order(found, wanted)


def in_order(found: Iterable[tuple[Place, int, Piece]], wanted: Mapping[Place, int]) -> dict[Place, list[Piece]]:
    """Put pieces in the order of their first rows.

    Raises:
        RecombineError: they are not exactly the rows that were wanted.
    """
    by_place: dict[Place, list[tuple[int, Piece]]] = {place: [] for place in wanted}
    for place, first, piece in found:
        by_place[place].append((first, piece))
    parts: dict[Place, list[Piece]] = {}
    for place, number in wanted.items():
        firsts = sorted(by_place[place], key=lambda item: item[0])
        parts[place] = [piece for _, piece in firsts]
        read = sum(piece.num_rows for piece in parts[place])
        if read != number:
            raise RecombineError(f"{'/'.join(place)}: read {read} rows, the manifest says {number}")
    return parts


def runs_of(table: Any) -> list[tuple[Place, int, int, int]]:
    """Return the stretches of a table whose rows follow each other in a partition.

    Returns:
        (subset and split, order of the first row, number of rows, place of the first row) of each.
    """
    import numpy as np

    if not table.num_rows:
        return []
    names = [table[name].combine_chunks().dictionary_encode() for name in ("subset", "split")]
    codes = [encoded.indices.to_numpy(zero_copy_only=False) for encoded in names]
    orders = table["order"].to_numpy()
    is_new = np.diff(orders) != 1
    for code in codes:
        is_new |= np.diff(code) != 0
    starts = [0, *(np.flatnonzero(is_new) + 1).tolist()]
    ends = [*starts[1:], table.num_rows]
    return [
        (
            (table["subset"][start].as_py(), table["split"][start].as_py()),
            int(orders[start]),
            end - start,
            start,
        )
        for start, end in zip(starts, ends, strict=True)
    ]
