"""Encoded rows of a study in blocks that no process ever joins: by subset and split, in Ray's object store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

from datasets_spec.errors import RecombineError
from trainers.rows.stored_rows import Place

# When a slot asks whether rows lie nowhere, and leaves if so: Ray misses a dead node after 15 s (measured with 2.60).
ROWS_WAIT_S = 30.0
BEAT_S = 1.0  # between two signs of life of who waits for rows


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


def read_pieces(
    parts: Mapping[Place, Sequence[Piece]],
    place: Place,
    num_rows: int | None,
    on_wait: Callable[[], None] = lambda: None,
) -> Any:
    """Return the first rows of a partition (all when None) as an Arrow table over shared memory.

    Args:
        parts: where the rows of each partition lie.
        place: the partition.
        num_rows: how many of its rows.
        on_wait: called every `BEAT_S` until they are here; may raise to stop.

    Raises:
        RecombineError: the partition was not loaded or is shorter than asked for.
        RowsAwayError: rows lie on no node, `ROWS_WAIT_S` after they were asked for or later.
    """
    import pyarrow as pa

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
    blocks = _brought([piece.block for piece, _ in needed], on_wait)
    tables = [block.slice(piece.offset, count) for block, (piece, count) in zip(blocks, needed, strict=True)]
    return pa.concat_tables(tables, promote_options="permissive")


def _brought(blocks: Sequence[Any], on_wait: Callable[[], None]) -> Any:
    """Return what references stand for. On its way it may be for long; what lies nowhere is not awaited for ever.

    One request for all that lasts: each that ended by a time-out would drop what it has brought halfway.
    """
    import ray

    from trainers.trial.failures import RowsAwayError

    found: Future[Any] = Future()

    def bring() -> None:
        try:
            found.set_result(ray.get(blocks))
        except BaseException as error:  # noqa: BLE001 - who waits raises it
            found.set_exception(error)

    threading.Thread(target=bring, name="recombine-rows", daemon=True).start()
    looked_at = time.monotonic()
    while True:
        if wait([found], timeout=BEAT_S).done:
            try:
                return found.result()
            except ray.exceptions.ObjectLostError as error:
                words = f"rows are lost, and Ray does not encode them anew: {type(error).__name__}"
                raise RowsAwayError(words, is_passing=False) from None
        on_wait()
        if time.monotonic() - looked_at > ROWS_WAIT_S:
            looked_at = time.monotonic()
            if _lies_nowhere(blocks):
                raise RowsAwayError("rows went with a node, and nobody has encoded them anew yet")


def _lies_nowhere(blocks: Sequence[Any]) -> bool:
    """Whether a block that is not here is on no other node either, as far as its owner knows."""
    import ray
    from ray.experimental import get_object_locations

    _, missing = ray.wait(list(blocks), num_returns=len(blocks), timeout=0)
    return not all(found["node_ids"] for found in get_object_locations(missing).values())


def num_away(parts: Mapping[Place, Sequence[Piece]]) -> int:
    """Return how many blocks lie on no node; asked by the process that had them made, which alone can say."""
    import ray

    blocks = list({piece.block for pieces in parts.values() for piece in pieces})
    if not blocks:
        return 0
    there, _ = ray.wait(blocks, num_returns=len(blocks), timeout=0, fetch_local=False)
    return len(blocks) - len(there)


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
