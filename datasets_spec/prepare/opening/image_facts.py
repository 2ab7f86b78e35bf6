"""What is known of all images of a preparation, handed out with the rows that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.prepare.opening.wanted_images import BlockOrder
from datasets_spec.store.secret import OWNER_ONLY

if TYPE_CHECKING:
    import pyarrow as pa

# What finishing a row takes of each image it shows.
_OF_A_ROW: Final = [
    *("bytes_hash", "pixel_hash", "width", "height", "mask_box", "reason", "detail"),
    *("pack", "offset", "length", "crc32"),
]


class FinishingOrder(NamedTuple):
    """A block of rows, and what is known of the images that its rows show.

    Args:
        block: Its name.
        facts: One row an image.
        images: Of the images of its rows, one row after the other, their positions in ``facts``.
        masks: The same of its rows' masks.
    """

    block: str
    facts: pa.Table
    images: NDArray[np.integer]
    masks: NDArray[np.integer]


class FinishingOrders(Sequence[FinishingOrder]):
    """Blocks of rows with what is known of their images, each made when it is handed out.

    Args:
        blocks: Blocks, and the numbers of their images.
        facts: What is known of all images.
    """

    def __init__(self, blocks: Sequence[BlockOrder], facts: pa.Table) -> None:
        self._blocks, self._facts = blocks, facts.select(_OF_A_ROW).combine_chunks()

    def __len__(self) -> int:
        return len(self._blocks)

    @overload
    def __getitem__(self, at: int) -> FinishingOrder: ...
    @overload
    def __getitem__(self, at: slice) -> list[FinishingOrder]: ...
    def __getitem__(self, at: int | slice) -> FinishingOrder | list[FinishingOrder]:
        import pyarrow as pa

        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        order = self._blocks[at]
        numbers, positions = np.unique(np.concatenate([order.images, order.masks]), return_inverse=True)
        facts = self._facts.take(pa.array(numbers, pa.int64()))
        return FinishingOrder(order.block, facts, *np.split(positions, [len(order.images)]))


def write_image_states(facts: pa.Table, sources: Mapping[str, SubsetSource], path: Path) -> None:
    """Writes size and time of every image that was looked at, to tell later whether one has changed.

    Args:
        facts: One row an image, with ``root`` and ``published``.
        sources: Subsets by name.
        path: A Parquet file with the columns ``subset``, ``path``, ``num_bytes``, ``mtime_ns``, sorted; of several
            subsets with one folder of images the first stands for all.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    named: dict[str, str] = {}
    for name in sorted(sources):
        named.setdefault(sources[name].image_root, name)
    names = {"published": "path", "num_bytes": "num_bytes", "mtime_ns": "mtime_ns"}
    table = facts.select(list(names)).rename_columns(names)
    subsets = [named[root] for root in facts.column("root").to_pylist()]
    table = table.add_column(0, "subset", pa.array(subsets, pa.string()))
    path.touch(mode=OWNER_ONLY)  # folders on the way to an image may name patients
    pq.write_table(table.sort_by([("subset", "ascending"), ("path", "ascending")]), path, write_page_checksum=True)


def of_each_picture_one(facts: pa.Table) -> pa.Table:
    """Gives all images of equal pixels the place of the first: files that differ in their bytes may show the same.

    Args:
        facts: One row an image; changed are ``pack``, ``offset``, ``length`` and ``crc32``.
    """
    import pyarrow as pa

    hashes = facts.column("pixel_hash").combine_chunks().dictionary_encode()
    codes = hashes.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    # A refused image has no pixels: it is its own first.
    chosen = np.where(codes < 0, np.arange(len(codes)), first[inverse] if len(codes) else codes)
    for name in ("pack", "offset", "length", "crc32"):
        column = facts.column(name).combine_chunks().take(pa.array(chosen))
        facts = facts.set_column(facts.schema.get_field_index(name), name, column)
    return facts
