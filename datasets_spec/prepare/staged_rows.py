"""The row between the two passes: its columns, written and read back.

A block of rows is two files: an Arrow file of what the plan needs, and a file of lines with what is stored. A line is
found by its offset, without a search: what a row costs in the second pass does not grow with how many there are.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX, LINES_SUFFIX = ".arrow", ".jsonl"

# Everything but texts: a million rows of these fit in a driver's memory.
LIGHT_COLUMNS = [
    *("subset", "role", "file", "index", "num_read", "failure", "reason", "detail"),
    *("label", "flags", "image_hashes", "groups", "image_num_bytes", "content_hash", "row_hash"),
    *("image_bytes_hashes", "image_paths", "image_looks"),
    *("question_key", "options_key", "answer_key"),
]
STATE_COLUMNS = ["subset", "image_paths", "image_num_bytes", "image_mtimes_ns"]
MASK_COLUMNS = ["mask_path", "mask_num_bytes", "mask_mtime_ns"]
# What is stored, or needed to store it: texts, whole numbers and lists of texts.
LINE_COLUMNS = [
    *("index", "question", "options", "answer", "answer_index", "answer_kind", "label"),
    *("image_paths", "image_bytes_hashes", "image_hashes", "groups", "row_hash", "flags"),
]
# Blocks whose columns are taken together: 8,192 rows, 6 MB.
BLOCKS_AT_ONCE = 32


def write_staged(table: pa.Table, staging: Path, name: str) -> None:
    """Writes a block of staged rows; writing it again replaces it.

    Args:
        table: Rows of :func:`staging_schema`.
        staging: Folder of staged rows.
        name: The block.
    """
    import pyarrow as pa

    offsets: list[int | None] = []
    unfinished = staging / f".{name}.{os.getpid()}"
    # Not synced: staged rows do not outlive the preparation.
    with unfinished.open("wb") as lines:
        for row in table.select(LINE_COLUMNS).to_pylist():
            is_usable = row["row_hash"] is not None
            offsets.append(lines.tell() if is_usable else None)
            if is_usable:
                lines.write(json.dumps(row).encode("ascii") + b"\n")
    unfinished.replace(staging / (name + LINES_SUFFIX))
    light = table.select(_light_columns()).append_column("offset", pa.array(offsets, pa.int64())).combine_chunks()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(unfinished), "wb") as sink, pa.ipc.new_file(sink, light.schema, options=options) as file:
        for batch in light.to_batches():
            file.write_batch(batch)
    unfinished.replace(staging / (name + SUFFIX))


def _light_columns() -> list[str]:
    return list(dict.fromkeys([*LIGHT_COLUMNS, *STATE_COLUMNS, *MASK_COLUMNS]))


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
    for block, numbers in wanted.items():
        try:
            lines = (Path(staging) / (block + LINES_SUFFIX)).open("rb")
        except OSError:
            continue
        with lines:
            for number in numbers:
                rows[number] = _row_at(lines, order["offsets"][number], order["indexes"][number])
    return rows


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

    texts, numbers = pa.list_(pa.string()), pa.list_(pa.int64())
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
        **dict.fromkeys(("image_num_bytes", "image_mtimes_ns"), numbers),
        "image_looks": pa.list_(numbers),
        "box": pa.list_(pa.float64()),
        "mask_path": pa.string(),
        **dict.fromkeys(("mask_num_bytes", "mask_mtime_ns"), pa.int64()),
        **dict.fromkeys(("content_hash", "row_hash"), pa.string()),
        **dict.fromkeys(("question_key", "options_key", "answer_key"), pa.string()),
    }
    return pa.schema(list(columns.items()))


def staged_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Returns rows as a table of :func:`staging_schema`."""
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=staging_schema())


def read_staged(staging: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Reads some columns of all staged rows, with the ``block`` and ``offset`` where each lies, in their files' order.

    Args:
        staging: Folder of staged rows.
        columns: Names of :data:`LIGHT_COLUMNS`, :data:`STATE_COLUMNS` or :data:`MASK_COLUMNS`.
    """
    import pyarrow as pa

    names = [*_light_columns(), "offset"]
    options = pa.ipc.IpcReadOptions(included_fields=[names.index(name) for name in (*columns, "offset")])
    for path in _blocks_in_order(staging):
        with pa.memory_map(str(path)) as file:
            rows = pa.ipc.open_file(file, options=options).get_batch(0).to_pylist()
        for row in rows:
            row["block"] = path.stem
            yield row


def read_staged_columns(staging: Path, columns: list[str]) -> Iterator[pa.Table]:
    """Reads some columns of all staged rows, some thousand rows at a time, in their files' order.

    Args:
        staging: Folder of staged rows.
        columns: Names of :data:`LIGHT_COLUMNS`, :data:`STATE_COLUMNS` or :data:`MASK_COLUMNS`.

    Yields:
        Tables of these columns with ``block``, a dictionary, and ``offset``, where each row lies.
    """
    import numpy as np
    import pyarrow as pa

    names = [*_light_columns(), "offset"]
    options = pa.ipc.IpcReadOptions(
        included_fields=[names.index(name) for name in (*columns, "offset")], use_threads=False
    )
    blocks = _blocks_in_order(staging)
    if not blocks:
        empty = staged_table([]).select(columns).append_column("offset", pa.array([], pa.int64()))
        yield empty.append_column("block", pa.array([], pa.dictionary(pa.int32(), pa.string())))
    for start in range(0, len(blocks), BLOCKS_AT_ONCE):
        paths, batches = blocks[start : start + BLOCKS_AT_ONCE], []
        for path in paths:
            with pa.OSFile(str(path)) as file:  # read once and whole: half the time of a mapping
                batches.append(pa.ipc.open_file(file, options=options).get_batch(0))
        block = np.repeat(np.arange(len(paths), dtype=np.int32), [batch.num_rows for batch in batches])
        named = pa.DictionaryArray.from_arrays(block, [path.stem for path in paths])
        yield pa.Table.from_batches(batches).combine_chunks().append_column("block", named)


def _blocks_in_order(staging: Path) -> list[Path]:
    """Blocks by subset, role, file and index of their first row: each holds rows that follow each other."""
    import pyarrow as pa

    names = ["subset", "role", "file", "index"]
    options = pa.ipc.IpcReadOptions(included_fields=[_light_columns().index(name) for name in names])
    found = []
    for path in staging.glob(f"[!.]*{SUFFIX}"):
        with pa.OSFile(str(path)) as file:
            first = pa.ipc.open_file(file, options=options).get_batch(0).slice(0, 1).to_pylist()[0]
        # What is said of a file, with index -1, follows its rows.
        index = sys.maxsize if first["index"] < 0 else first["index"]
        found.append(((first["subset"], first["role"], first["file"], index), path))
    return [path for _, path in sorted(found)]
