"""What is known of all images of a preparation: one Arrow file that every worker maps into memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.store.secret import OWNER_ONLY

if TYPE_CHECKING:
    import pyarrow as pa

FACTS_NAME: Final = "images.facts"
# What finishing a row takes of each image it shows.
_OF_A_ROW: Final = [
    *("bytes_hash", "pixel_hash", "width", "height", "mask_box", "reason", "detail"),
    *("pack", "offset", "length", "crc32"),
]


def write_facts(facts: pa.Table, path: Path) -> None:
    """Writes facts uncompressed, so that a worker reads only the rows it asks for.

    Args:
        facts: One row an image.
        path: Where to.
    """
    import pyarrow as pa

    table = facts.combine_chunks()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table, max_chunksize=max(1, table.num_rows))


def facts_of(path: Path, numbers: Sequence[int]) -> dict[int, Mapping[str, Any]]:
    """Returns what is known of some images, by their numbers.

    Args:
        path: What :func:`write_facts` wrote.
        numbers: Rows of it.
    """
    import pyarrow as pa

    if not numbers:
        return {}
    with pa.memory_map(str(path)) as file:
        rows = pa.ipc.open_file(file).read_all().select(_OF_A_ROW).take(pa.array(numbers, pa.int64())).to_pylist()
    return dict(zip(numbers, rows, strict=True))


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
