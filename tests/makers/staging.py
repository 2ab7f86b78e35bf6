"""The steps of preparing up to finished rows, one after the other in this process, without Ray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa

from datasets_spec.images.limits import ImageLimits
from datasets_spec.packs.pack_writer import PACKS
from datasets_spec.prepare.finish_rows import finish_block, finish_rows
from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.prepare.opening.image_facts import FinishingOrders
from datasets_spec.prepare.opening.open_block import open_block
from datasets_spec.prepare.opening.open_wanted import OpenedImages, open_wanted
from datasets_spec.prepare.opening.wanted_images import find_wanted, opening_of
from datasets_spec.prepare.read_rows import read_and_count, write_block
from datasets_spec.prepare.staged_rows import blocks_read, read_block, read_staged_columns

LIMITS = ImageLimits()


def read_into(staging: Path, files: pa.Table, sources: dict[str, SubsetSource]) -> list[str]:
    """Reads data files (`subset`, `role`, `file`, `path`); returns the names of the blocks."""
    staging.mkdir(exist_ok=True)
    for block in read_and_count(files, sources=sources, staging=staging):
        write_block(block, staging=staging)
    return blocks_read(staging)


def finish_in(store_dir: Path, staging: Path, sources: dict[str, SubsetSource], *, seed: int = 0) -> OpenedImages:
    """Opens the images of all rows that were read, and finishes these."""
    packs = store_dir / PACKS
    packs.mkdir(parents=True, exist_ok=True)
    wanted, opening = find_wanted(staging, sources), opening_of(LIMITS)
    opened = open_wanted(
        wanted,
        store_dir,
        staging,
        opening=opening,
        open_blocks=lambda orders: [
            open_block(order, packs=packs, staging=staging, limits=LIMITS, opening=opening) for order in orders
        ],
    )
    for order in FinishingOrders(wanted.blocks, opened.facts):
        finish_block(order, sources=sources, seed=seed, staging=staging)
    return opened


def finished_rows(folder: Path, files: pa.Table, sources: dict[str, SubsetSource]) -> list[dict[str, Any]]:
    """Rows as they are staged, with everything; those of files that cannot be read have a `failure`."""
    staging = Path(mkdtemp(dir=folder))
    tables = [read_block(staging, name) for name in read_into(staging, files, sources)]
    rows = [row for table in tables for row in table.to_pylist() if row["num_read"] is None]
    if all(row["failure"] is None for row in rows):
        facts = finish_in(folder / "store", staging, sources).facts.to_pylist()
        orders = find_wanted(staging, sources).blocks
        rows = []
        for order, table in zip(orders, tables, strict=True):
            images, masks = ([facts[number] for number in numbers] for numbers in order[1:])
            rows += finish_rows(table, images, masks, sources=sources, seed=0).to_pylist()
    return [row for row in rows if row["num_read"] is None]


def read_staged(staging: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Some columns of all staged rows, with the `block` and `offset` where each lies, in their files' order."""
    for table in read_staged_columns(staging, columns):
        yield from table.to_pylist()
