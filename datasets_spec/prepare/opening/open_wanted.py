"""All images of a preparation: those known from before, the others opened block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from datasets_spec.atomic import sync
from datasets_spec.errors import ReaderError, StorageError, StoreError
from datasets_spec.packs.image_index import read_indexes
from datasets_spec.packs.pack_writer import INDEX_SUFFIX, PACKS, PackFile
from datasets_spec.prepare.opening.attempts import MAX_ATTEMPTS
from datasets_spec.prepare.opening.known_images import KnownImages
from datasets_spec.prepare.opening.open_block import OpenedBlock, OpeningOrders, divide
from datasets_spec.prepare.opening.wanted_images import WantedImages
from datasets_spec.prepare.staged_rows import is_to_open, read_block
from datasets_spec.storage.place import Place

if TYPE_CHECKING:
    import pyarrow as pa


_LOST_HINT: Final = "put the store on storage that all nodes mount at this path, look for lost nodes, and prepare again"


class OpenedImages(NamedTuple):
    """What is known of all wanted images.

    Args:
        facts: One row an image: :func:`image_index.facts_schema`, ``pack`` (its number in ``packs``), ``root`` and
            ``published``.
        packs: Packs that hold them, by name.
    """

    facts: pa.Table
    packs: tuple[PackFile, ...]


def open_wanted(
    wanted: WantedImages,
    store_dir: Place,
    staging: Place,
    *,
    opening: str,
    open_blocks: Callable[[OpeningOrders], Sequence[OpenedBlock]],
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
        StorageError: A node did not get at a bucket; names all of them.
        StoreError: A pack is not where it was written.
    """
    known = KnownImages(wanted.places)
    known.look_up(store_dir, opening)
    missing = known.missing
    orders = OpeningOrders(wanted.places, list(divide(missing, known.num_bytes[missing])))
    opened = open_blocks(orders)
    failures = sorted({f"node {block.node}: {block.failure}" for block in opened if block.failure})
    if failures:
        raise StorageError("\n".join(failures))
    for order, block in zip(orders, opened, strict=True):
        if not block.stem:
            ends = (int(order.numbers[0]), int(order.numbers[-1]))
            told = " to ".join(_row_that_shows(wanted, staging, number) for number in ends)
            raise ReaderError(f"the process that opened images from {told} has ended {MAX_ATTEMPTS} times")
    _add(known, orders, opened, store_dir / PACKS)
    if opened and isinstance(store_dir, Path):
        sync(store_dir / PACKS)
    return OpenedImages(*known.joined())


def _row_that_shows(wanted: WantedImages, staging: Place, image: int) -> str:
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


def _add(known: KnownImages, orders: OpeningOrders, opened: Sequence[OpenedBlock], packs: Place) -> None:
    indexes = read_indexes(packs, [block.stem for block in opened])
    for order, block, index in zip(orders, opened, indexes, strict=True):
        if index is None or index[0].num_rows != len(order.places):
            raise StoreError(
                f"{packs / (block.stem + INDEX_SUFFIX)} was written by the node {block.node} and is not there whole",
                hint=_LOST_HINT,
            )
        table, pack = index
        known.add(order.numbers, table, np.arange(table.num_rows), pack)
