"""The row between the two passes: its columns, written and read back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


# Everything but texts: a million rows of these fit in a driver's memory.
LIGHT_COLUMNS = [
    *("subset", "role", "file", "index", "num_read", "failure", "reason", "detail"),
    *("label", "flags", "image_hashes", "groups", "image_num_bytes", "content_hash", "row_hash"),
    *("image_bytes_hashes", "image_paths", "image_looks"),
    *("question_key", "options_key", "answer_key"),
]
STATE_COLUMNS = ["subset", "image_paths", "image_num_bytes", "image_mtimes_ns"]
MASK_COLUMNS = ["mask_path", "mask_num_bytes", "mask_mtime_ns"]


def ordered_rows(staging: str, order: dict[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    """Reads the staged rows of a work order, by file and index; what this node does not see is absent."""
    import pyarrow.dataset as ds

    path = Path(staging) / f"subset={order['subset']}"
    if not path.is_dir():
        return {}
    folder = ds.dataset(str(path), format="parquet")
    wanted = ds.field("index").isin(order["indexes"]) & ds.field("file").isin(sorted(set(order["files"])))
    return {(row["file"], row["index"]): row for row in folder.to_table(filter=wanted).to_pylist()}


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
    """Reads some columns of all staged rows, in no particular order."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    if next(staging.glob("subset=*/*.parquet"), None) is None:
        # Every data file is an empty array.
        return
    # Said explicitly, because a subset called 02 would come back as the number 2.
    partitioning = ds.partitioning(pa.schema([("subset", pa.string())]), flavor="hive")
    dataset = ds.dataset(str(staging), format="parquet", partitioning=partitioning)
    for batch in dataset.to_batches(columns=columns):
        yield from batch.to_pylist()
