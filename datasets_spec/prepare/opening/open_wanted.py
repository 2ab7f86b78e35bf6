"""All images of a preparation: those known from before, the others opened block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from datasets_spec.atomic import sync
from datasets_spec.errors import ReaderError, StoreError
from datasets_spec.images.files import FileState
from datasets_spec.packs.image_index import facts_schema, read_index
from datasets_spec.packs.pack_writer import INDEX_SUFFIX, PACKS, PackFile
from datasets_spec.prepare.opening.attempts import MAX_ATTEMPTS
from datasets_spec.prepare.opening.image_facts import of_each_picture_one
from datasets_spec.prepare.opening.open_block import OpenedBlock, OpeningOrder, divide
from datasets_spec.prepare.opening.wanted_images import ImagePlace, KnownImages, WantedImages, find_known
from datasets_spec.prepare.staged_rows import is_to_open, read_block
from datasets_spec.store.image_states import states_of

if TYPE_CHECKING:
    import pyarrow as pa


class OpenedImages(NamedTuple):
    """What is known of all wanted images.

    Args:
        facts: One row an image: :func:`image_index.facts_schema`, ``pack`` (its number in ``packs``), ``root`` and
            ``published``.
        packs: Packs that hold them, by name.
        num_known: How many were known from before.
    """

    facts: pa.Table
    packs: tuple[PackFile, ...]
    num_known: int


def open_wanted(
    wanted: WantedImages,
    store_dir: Path,
    staging: Path,
    *,
    opening: str,
    open_blocks: Callable[[Sequence[OpeningOrder]], Sequence[OpenedBlock]],
) -> OpenedImages:
    """Finds out about every image.

    Args:
        wanted: The images.
        store_dir: The store, which keeps packs from before.
        staging: Folder of staged rows.
        opening: How images are opened.
        open_blocks: Opens blocks, in their order, as :func:`open_block.open_block` does.

    Raises:
        ReaderError: Images ended the process that opened them, again and again.
        StoreError: A pack is not where it was written.
    """
    places = wanted.places
    states = _states(places)
    known = find_known(store_dir, places, states, opening)
    missing = [number for number in range(len(places)) if number not in known.rows]
    blocks = divide(missing, [states[number].num_bytes for number in missing])
    orders = [OpeningOrder(block, [places[number] for number in block]) for block in blocks]
    opened = open_blocks(orders)
    num_known = len(known.rows)
    for order, block in zip(orders, opened, strict=True):
        if not block.stem:
            ends = (_row_that_shows(wanted, staging, number) for number in (order.numbers[0], order.numbers[-1]))
            told = " to ".join(ends)
            raise ReaderError(f"the process that opened images from {told} has ended {MAX_ATTEMPTS} times")
        _add(known, order, block, store_dir)
    if opened:
        sync(store_dir / PACKS)
    return OpenedImages(*_joined(known, places), num_known)


def _states(places: Sequence[ImagePlace]) -> list[FileState]:
    order = sorted(range(len(places)), key=places.__getitem__)
    found: list[FileState | None] = [None] * len(places)
    for number, state in zip(order, states_of([places[number][:2] for number in order]), strict=True):
        found[number] = state
    return [state for state in found if state is not None]


def _row_that_shows(wanted: WantedImages, staging: Path, image: int) -> str:
    """A row is named, and not its image: a path may name a patient."""
    for block in wanted.blocks:
        images, masks = iter(block.images), iter(block.masks)
        for row in read_block(staging, block.block).to_pylist() if image in (*block.images, *block.masks) else ():
            if is_to_open(row):
                shown = [next(images) for _ in row["image_paths"]]
                shown += [next(masks)] if row["mask_path"] is not None else []
                if image in shown:
                    return f"{row['subset']}/{row['role']}/{row['file']} row {row['index']}"
    return "an unknown row"


def _add(known: KnownImages, order: OpeningOrder, block: OpenedBlock, store_dir: Path) -> None:
    path = store_dir / PACKS / (block.stem + INDEX_SUFFIX)
    index = read_index(path)
    if index is None or index[0].num_rows != len(order.places):
        raise StoreError(
            f"{path} was written by the node {block.node} and is not there whole",
            hint="put the store on storage that all nodes mount at this path, look for lost nodes, and prepare again",
        )
    table, pack = index
    if pack is not None:
        known.packs[pack.name] = pack
    known.tables.append((pack.name if pack else None, table))
    known.rows.update({number: (len(known.tables) - 1, row) for row, number in enumerate(order.numbers)})


def _joined(known: KnownImages, places: Sequence[ImagePlace]) -> tuple[pa.Table, tuple[PackFile, ...]]:
    """Facts of all images in their order, and the packs that hold them."""
    import pyarrow as pa

    schema = facts_schema().append(pa.field("pack", pa.int32()))
    names = sorted(known.packs)
    tables = [schema.empty_table()]
    for name, table in known.tables:
        pack = pa.scalar(None if name is None else names.index(name), pa.int32())
        tables.append(table.append_column("pack", pa.repeat(pack, table.num_rows)))
    starts = np.cumsum([table.num_rows for table in tables])
    rows = np.array([starts[known.rows[n][0]] + known.rows[n][1] for n in range(len(places))], np.int64)
    facts = of_each_picture_one(pa.concat_tables(tables).take(pa.array(rows)))
    used = facts.column("pack").unique().drop_null().sort().to_pylist()
    facts = _renumbered(facts, used)
    for column, values in (("root", [p.root for p in places]), ("published", [p.published for p in places])):
        facts = facts.append_column(column, pa.array(values, pa.string()))
    return facts, tuple(known.packs[names[number]] for number in used)


def _renumbered(facts: pa.Table, used: Sequence[int]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pc.index_in(facts.column("pack"), value_set=pa.array(used, pa.int32()), skip_nulls=True)
    return facts.set_column(facts.schema.get_field_index("pack"), "pack", numbers)
