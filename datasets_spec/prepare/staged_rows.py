"""The row between the steps of preparing: its columns, written and read back.

A block of rows as they were read is one Arrow file. Finished, it is two: an Arrow file of what the plan needs, and a
file of lines with what is stored. A line is found by its offset, without a search: what a row costs when it is stored
does not grow with how many there are.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from datasets_spec.storage.files import mapped, names_in, put
from datasets_spec.storage.place import Place, as_place
from datasets_spec.storage.read_many import Range, read_many

if TYPE_CHECKING:
    import pyarrow as pa

READ_SUFFIX, SUFFIX, LINES_SUFFIX = ".read", ".arrow", ".jsonl"

# Everything but texts: a million rows of these fit in a driver's memory.
LIGHT_COLUMNS = [
    *("subset", "role", "file", "index", "num_read", "failure", "reason", "detail"),
    *("label", "flags", "image_hashes", "groups", "content_hash", "row_hash"),
    *("image_bytes_hashes", "image_paths"),
    *("question_key", "options_key", "answer_key"),
]
# What is stored, or needed to store it: texts, whole numbers and lists of these.
LINE_COLUMNS = [
    *("index", "question", "options", "answer", "answer_index", "answer_kind", "label"),
    *("image_hashes", "places", "row_hash", "flags"),
]
_KEY_COLUMNS = ["subset", "role", "file", "index"]
BlockKey = tuple[str, str, str, int]
# Blocks whose columns are taken together: 8,192 rows, 6 MB.
BLOCKS_AT_ONCE = 32


def write_read(table: pa.Table, staging: Place, name: str) -> None:
    """Writes a block of rows as they were read; writing it again replaces it.

    Args:
        table: Rows of :func:`staging_schema`.
        staging: Folder of staged rows.
        name: The block.
    """
    _write_arrow(table, staging, name, READ_SUFFIX)


def read_block(staging: Place, name: str, columns: list[str] | None = None) -> pa.Table:
    """Reads a block of rows as they were read.

    Args:
        staging: Folder of staged rows.
        name: The block.
        columns: Names of columns; all by default.
    """
    import pyarrow as pa

    fields = None if columns is None else [staging_schema().get_field_index(column) for column in columns]
    options = pa.ipc.IpcReadOptions(included_fields=fields)
    with mapped(staging / (name + READ_SUFFIX)) as file:
        return pa.ipc.open_file(file, options=options).read_all()


def read_blocks(staging: Place, columns: list[str]) -> Iterator[tuple[BlockKey, str, pa.Table]]:
    """Reads some columns of all blocks as they were read, opening each once.

    Args:
        staging: Folder of staged rows.
        columns: Names of columns.

    Yields:
        Of each, in no order, what orders it among the others, its name and its rows.
    """
    import pyarrow as pa

    fields = {staging_schema().get_field_index(name) for name in (*_KEY_COLUMNS, *columns)}
    options = pa.ipc.IpcReadOptions(included_fields=sorted(fields))
    blocks = _blocks_in(staging, READ_SUFFIX)
    for block, file in zip(blocks, _contents(staging, blocks, READ_SUFFIX), strict=True):
        with file:
            rows = pa.ipc.open_file(file, options=options).read_all()
        yield _key_of(rows), block, rows.select(columns)


def is_to_open(row: Mapping[str, Any]) -> bool:
    """Says whether a row stands for a record whose images are to be opened.

    Args:
        row: A row of a block as it was read.
    """
    return row["num_read"] is None and row["failure"] is None and row["reason"] is None


def write_staged(table: pa.Table, staging: Place, name: str) -> None:
    """Writes a block of finished rows; writing it again replaces it.

    Args:
        table: Rows of :func:`staging_schema`.
        staging: Folder of staged rows.
        name: The block.
    """
    import pyarrow as pa

    offsets: list[int | None] = []
    lines = io.BytesIO()
    for row in table.select(LINE_COLUMNS).to_pylist():
        is_usable = row["row_hash"] is not None
        offsets.append(lines.tell() if is_usable else None)
        if is_usable:
            lines.write(json.dumps(row).encode("ascii") + b"\n")
    put(staging / (name + LINES_SUFFIX), lines.getvalue())
    light = table.select(LIGHT_COLUMNS).append_column("offset", pa.array(offsets, pa.int64()))
    _write_arrow(light, staging, name, SUFFIX)


def _write_arrow(table: pa.Table, staging: Place, name: str, suffix: str) -> None:
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="lz4")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=options) as file:
        for batch in table.combine_chunks().to_batches():
            file.write_batch(batch)
    # The disk is not waited for: staged rows do not outlive the preparation.
    put(staging / (name + suffix), sink.getvalue())


def ordered_rows(staging: str, order: Mapping[str, Any]) -> list[dict[str, Any] | None]:
    """Reads the staged rows of a work order; None for one that this node does not see.

    Args:
        staging: Folder of staged rows.
        order: ``blocks`` and ``offsets``, where every row lies, and its ``indexes``.
    """
    wanted: dict[str, list[int]] = {}
    for number, block in enumerate(order["blocks"]):
        wanted.setdefault(block, []).append(number)
    rows: list[dict[str, Any] | None] = [None] * len(order["blocks"])
    for numbers, lines in zip(wanted.values(), _lines_of(as_place(staging), wanted), strict=True):
        if lines is None:
            continue
        with lines:
            for number in numbers:
                rows[number] = _row_at(lines, order["offsets"][number], order["indexes"][number])
    return rows


def _lines_of(staging: Place, blocks: Iterable[str]) -> Iterator[BinaryIO | None]:
    """Lines of blocks, None where there are none; from a bucket, where a seek would be a request, whole ones."""
    places = [block + LINES_SUFFIX for block in blocks]
    if not isinstance(staging, Path):
        for data in read_many(Range(staging / name) for name in places):
            yield None if data is None else io.BytesIO(data)
        return
    for name in places:
        try:
            yield (staging / name).open("rb")
        except OSError:
            yield None


def _row_at(lines: BinaryIO, offset: int, index: int) -> dict[str, Any] | None:
    try:
        lines.seek(offset)
        row: dict[str, Any] = json.loads(lines.readline())
    except (OSError, ValueError):
        return None
    return row if row["index"] == index else None


@cache
def staging_schema() -> pa.Schema:
    """Returns the Arrow schema of a staged row."""
    import pyarrow as pa

    texts = pa.list_(pa.string())
    columns = {
        **dict.fromkeys(("subset", "role", "file"), pa.string()),
        "index": pa.int64(),
        "num_read": pa.int64(),
        **dict.fromkeys(("failure", "reason", "detail"), pa.string()),
        "question": pa.string(),
        "options": texts,
        "answer": pa.string(),
        "answer_index": pa.int32(),
        **dict.fromkeys(("answer_kind", "label", "source"), pa.string()),
        **dict.fromkeys(("flags", "image_paths", "image_bytes_hashes", "image_hashes", "groups"), texts),
        "places": pa.list_(pa.list_(pa.int64())),
        "box": pa.list_(pa.float64()),
        "mask_path": pa.string(),
        **dict.fromkeys(("content_hash", "row_hash"), pa.string()),
        **dict.fromkeys(("question_key", "options_key", "answer_key"), pa.string()),
    }
    return pa.schema(list(columns.items()))


def staged_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Returns rows as a table of :func:`staging_schema`."""
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=staging_schema())


def read_staged_columns(staging: Place, columns: list[str]) -> Iterator[pa.Table]:
    """Reads some columns of all staged rows, some thousand rows at a time, in their files' order.

    Args:
        staging: Folder of staged rows.
        columns: Names of :data:`LIGHT_COLUMNS`.

    Yields:
        Tables of these columns with ``block``, a dictionary, and ``offset``, where each row lies.
    """
    import numpy as np
    import pyarrow as pa

    names = [*LIGHT_COLUMNS, "offset"]
    options = pa.ipc.IpcReadOptions(
        included_fields=[names.index(name) for name in (*columns, "offset")], use_threads=False
    )
    blocks = _blocks_in_order(staging, SUFFIX)
    if not blocks:
        empty = staged_table([]).select(columns).append_column("offset", pa.array([], pa.int64()))
        yield empty.append_column("block", pa.array([], pa.dictionary(pa.int32(), pa.string())))
    contents = _contents(staging, blocks, SUFFIX)
    for start in range(0, len(blocks), BLOCKS_AT_ONCE):
        chosen, batches = blocks[start : start + BLOCKS_AT_ONCE], []
        for file in islice(contents, len(chosen)):
            with file:
                batches.append(pa.ipc.open_file(file, options=options).get_batch(0))
        block = np.repeat(np.arange(len(chosen), dtype=np.int32), [batch.num_rows for batch in batches])
        named = pa.DictionaryArray.from_arrays(block, chosen)
        yield pa.Table.from_batches(batches).combine_chunks().append_column("block", named)


def _blocks_in_order(staging: Place, suffix: str) -> list[str]:
    """Names of blocks by subset, role, file and index of their first row: each holds rows that follow each other."""
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(included_fields=[LIGHT_COLUMNS.index(name) for name in _KEY_COLUMNS])
    blocks, found = _blocks_in(staging, suffix), []
    for block, file in zip(blocks, _contents(staging, blocks, suffix), strict=True):
        with file:
            found.append((_key_of(pa.ipc.open_file(file, options=options).get_batch(0)), block))
    return [block for _, block in sorted(found)]


def _blocks_in(staging: Place, suffix: str) -> list[str]:
    names = (name for name in names_in(staging) if name.endswith(suffix) and not name.startswith("."))
    return [PurePosixPath(name).stem for name in names]


def _key_of(rows: pa.Table | pa.RecordBatch) -> BlockKey:
    """Where a block begins."""
    first = rows.select(_KEY_COLUMNS).slice(0, 1).to_pylist()[0]
    # What is said of a file, with index -1, follows its rows.
    return first["subset"], first["role"], first["file"], sys.maxsize if first["index"] < 0 else first["index"]


def _contents(staging: Place, blocks: Iterable[str], suffix: str) -> Iterator[pa.NativeFile]:
    """Files of blocks, each read once and whole: on a disk half the time of a mapping."""
    import pyarrow as pa

    if isinstance(staging, Path):
        yield from (pa.OSFile(str(staging / (block + suffix))) for block in blocks)
        return
    for data in read_many(Range(staging / (block + suffix)) for block in blocks):
        if data is None:
            raise FileNotFoundError(f"{staging}: a block is gone")
        yield pa.BufferReader(data)
