"""Work orders, the row list and the counts of a manifest as they were made of Python rows, frozen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets_spec.canonical import content_hash
from datasets_spec.prepare.counts import MAX_LABELS_LISTED
from datasets_spec.prepare.write_rows import MAX_ROWS_PER_PART, part_path
from datasets_spec.sample import SPLITS, file_stem, sample_id
from tests.reference_plan.rows import Row, RowPlan


def divide(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    """Cuts a partition into parts.

    Args:
        rows: Ordered rows of one subset and split.

    Yields:
        Order of the first row, and the rows of the part.
    """
    for start in range(0, len(rows), MAX_ROWS_PER_PART):
        yield start, rows[start : start + MAX_ROWS_PER_PART]


def order_table(subset: str, split: str, rows: Sequence[Row]) -> pa.Table:
    """Returns the work order of a partition: one row a part.

    Args:
        subset: Its subset.
        split: Its split.
        rows: Its ordered rows.
    """
    orders = [
        {
            "subset": subset,
            "split": split,
            "path": part_path(subset, split, number),
            "start": start,
            "blocks": [row.block for row in part],
            "offsets": [row.offset for row in part],
            "files": [row.file for row in part],
            "indexes": [row.index for row in part],
        }
        for number, (start, part) in enumerate(divide(rows))
    ]
    texts = pa.list_(pa.string())
    schema = pa.schema(
        [
            ("subset", pa.string()),
            ("split", pa.string()),
            ("path", pa.string()),
            ("start", pa.int32()),
            ("blocks", texts),
            ("offsets", pa.list_(pa.int64())),
            ("files", texts),
            ("indexes", pa.list_(pa.int64())),
        ]
    )
    return pa.Table.from_pylist(orders, schema=schema)


def write_row_list(plan: RowPlan, path: Path) -> None:
    """Writes which rows were kept, so that a third party can rebuild the same set from the published files.

    Args:
        plan: What is stored.
        path: A Parquet file with the columns ``sample_id``, ``subset``, ``split``, ``order``, ``file``, ``index``,
            ``row_hash``.
    """
    rows = [
        {
            "sample_id": sample_id(subset, file_stem(row.file), row.index),
            "subset": subset,
            "split": split,
            "order": order,
            "file": row.file,
            "index": row.index,
            "row_hash": row.row_hash,
        }
        for (subset, split), members in plan.partitions.items()
        for order, row in enumerate(members)
    ]
    texts = dict.fromkeys(("sample_id", "subset", "split"), pa.string())
    schema = pa.schema(
        {**texts, "order": pa.int32(), "file": pa.string(), "index": pa.int64(), "row_hash": pa.string()}
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, write_page_checksum=True)


def counted(plan: RowPlan, name: str) -> dict[str, Any]:
    """What the manifest says of a subset's rows."""
    by_split = {split: plan.partitions.get((name, split), []) for split in SPLITS}
    rows = [row for rows in by_split.values() for row in rows]
    return {
        "kept": len(rows),
        "flags": dict(sorted(Counter(flag for row in rows for flag in row.flags).items())),
        "splits": {split: len(rows) for split, rows in by_split.items()},
        "labels": _labels(by_split),
        "partition_fingerprints": {
            split: content_hash([row.row_hash for row in rows]) for split, rows in by_split.items()
        },
        "groups_known": bool(rows) and all(row.has_group for row in rows),
        "num_grouped": sum(row.has_group for row in rows),
    }


def _labels(by_split: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, int]] | None:
    counts = {split: Counter(row.label for row in rows) for split, rows in by_split.items()}
    if len(set().union(*counts.values())) > MAX_LABELS_LISTED:
        return None
    return {split: dict(sorted(counter.items())) for split, counter in counts.items()}
