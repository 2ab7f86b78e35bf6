"""Last step, run on Ray: planned rows -> Parquet parts, which say in which packs their images lie."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets_spec.atomic import sync
from datasets_spec.errors import StoreError
from datasets_spec.prepare.staged_rows import LINE_COLUMNS, ordered_rows
from datasets_spec.sample import PLACE_FIELDS, file_stem, rows_schema, sample_id
from datasets_spec.splits.hashes import hex_texts
from datasets_spec.splits.row_plan import RowPlan
from datasets_spec.splits.row_table import Rows
from datasets_spec.storage.files import put, sizes_below
from datasets_spec.storage.place import Place, as_place
from datasets_spec.store.secret import pseudonym, read_secret

if TYPE_CHECKING:
    import pyarrow as pa

# A part is what one task holds in memory, some kilobytes a row; a row group is the least a prefix read has to decode.
MAX_ROWS_PER_PART = 8192
# Rows of the list that are texts at a time: 20 MB.
LISTED_AT_ONCE = 65_536
ROWS_PER_ROW_GROUP = 512
_DICTIONARY_COLUMNS = ["subset", "split", "answer_kind", "label"]


def part_path(subset: str, split: str, number: int) -> str:
    """Returns where a part lies in its generation.

    Args:
        subset: Its subset.
        split: Its split.
        number: 0-based number in the partition.
    """
    return f"data/subset={subset}/split={split}/part-{number:05d}.parquet"


def order_table(subset: str, split: str, rows: Rows) -> pa.Table:
    """Returns the work order of a partition: one row a part.

    Args:
        subset: Its subset.
        split: Its split.
        rows: Its ordered rows.
    """
    import pyarrow as pa

    table, at = rows.table, rows.positions
    cuts = [*range(0, len(rows), MAX_ROWS_PER_PART), len(rows)]
    paths = [part_path(subset, split, number) for number in range(len(cuts) - 1)]
    files = pa.array([place.file for place in table.places], pa.string())
    lists = {
        "blocks": pa.array(table.blocks, pa.string()).take(pa.array(table.block[at])),
        "offsets": pa.array(table.offset[at]),
        "files": files.take(pa.array(table.place[at])),
        "indexes": pa.array(table.index[at]),
        "groups": _groups(rows),
    }
    return pa.table(
        {
            "subset": pa.repeat(subset, len(paths)),
            "split": pa.repeat(split, len(paths)),
            "path": pa.array(paths, pa.string()),
            "start": pa.array(cuts[:-1], pa.int32()),
            **{name: pa.ListArray.from_arrays(pa.array(cuts, pa.int32()), values) for name, values in lists.items()},
        }
    )


def _groups(rows: Rows) -> pa.Array:
    """Patients of rows, whichever row names them for a picture that these show."""
    import pyarrow as pa

    groups = rows.table.groups.take(rows.positions)
    texts = [text.decode() for part in hex_texts(groups.names, groups.codes) for text in part]
    return pa.ListArray.from_arrays(pa.array(groups.starts), pa.array(texts, pa.string()))


def write_row_list(plan: RowPlan, path: Path) -> None:
    """Writes which rows were kept, so that a third party can rebuild the same set from the published files.

    Args:
        plan: What is stored.
        path: A Parquet file with the columns ``sample_id``, ``subset``, ``split``, ``order``, ``file``, ``index``,
            ``row_hash``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = dict.fromkeys(("sample_id", "subset", "split"), pa.string())
    schema = pa.schema(
        {**texts, "order": pa.int32(), "file": pa.string(), "index": pa.int64(), "row_hash": pa.string()}
    )
    with pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        for (subset, split), rows in plan.partitions.items():
            for start in range(0, len(rows), LISTED_AT_ONCE):
                writer.write_table(_listed(subset, split, rows, start, schema))


def _listed(subset: str, split: str, rows: Rows, start: int, schema: pa.Schema) -> pa.Table:
    """Some thousand rows of the list."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table, at = rows.table, rows.positions[start : start + LISTED_AT_ONCE]
    place = pa.array(table.place[at])
    begins = pa.array([sample_id(subset, file_stem(place.file), 0)[:-1] for place in table.places], pa.string())
    hashes = [text for texts in hex_texts(table.row_hash[at]) for text in texts]
    columns = {
        "sample_id": pc.binary_join_element_wise(begins.take(place), pc.cast(pa.array(table.index[at]), "string"), ""),
        "subset": pa.repeat(subset, len(at)),
        "split": pa.repeat(split, len(at)),
        "order": pa.array(np.arange(start, start + len(at), dtype=np.int32)),
        "file": pa.array([place.file for place in table.places], pa.string()).take(place),
        "index": pa.array(table.index[at]),
        "row_hash": pa.array(hashes, pa.string()),
    }
    return pa.table(columns, schema=schema)


def write_parts(
    batch: pa.Table,
    *,
    staging: str,
    generation: str,
    secret_path: str,
) -> pa.Table:
    """Writes the parts a batch orders.

    Args:
        batch: Work orders from :func:`order_table`.
        staging: Folder of staged rows.
        generation: Folder to write beneath.
        secret_path: The store's secret.

    Returns:
        One row a part: ``subset``, ``split``, ``path``, ``num_rows``, ``num_bytes``, ``sha256``, and
        ``failure``, set if staged rows are not seen here.
    """
    import pyarrow as pa

    done = []
    secret, folder = read_secret(as_place(secret_path)), as_place(generation)
    for order in batch.to_pylist():
        result = {name: order[name] for name in ("subset", "split", "path")}
        found = ordered_rows(staging, order)
        staged = [row for row in found if row is not None]
        if len(staged) < len(found):
            where = f"the node {platform.node()} sees {len(staged)} of {len(found)} staged rows of '{order['subset']}'"
            done.append({**result, "failure": f"{where}, and not {_first_lost(order, found)}"})
            continue
        done.append({**result, **_write(_stored_rows(order, staged, secret), folder / order["path"])})
    texts = ("subset", "split", "path", "sha256", "failure")
    numbers = ("num_rows", "num_bytes")
    schema = pa.schema([*((name, pa.string()) for name in texts), *((name, pa.int64()) for name in numbers)])
    return pa.Table.from_pylist(done, schema=schema)


def require_parts(orders: Sequence[pa.Table], parts: Sequence[Mapping[str, Any]], generation: Place) -> None:
    """Refuses parts that were ordered and are not all here, whole, where this process looks.

    Args:
        orders: What was ordered, from :func:`order_table`.
        parts: What the workers say they wrote, from :func:`write_parts`.
        generation: Folder they wrote beneath.

    Raises:
        StoreError: Staged rows were not seen, or parts are missing or of another size; names them.
    """
    failures = sorted({part["failure"] for part in parts if part["failure"]})
    if failures:
        raise StoreError(
            "; ".join(failures), hint="put the store on storage that all nodes mount at this path, and prepare again"
        )
    written = {part["path"]: part for part in parts}
    sizes = None if isinstance(generation, Path) else sizes_below(generation)
    lost = []
    for order in (row for table in orders for row in table.select(["path", "indexes"]).to_pylist()):
        part, path = written.get(order["path"]), generation / order["path"]
        if part is None or part["num_rows"] != len(order["indexes"]):
            told = "nothing" if part is None else f"{part['num_rows']} rows"
            lost.append(f"{order['path']}: {told} written of {len(order['indexes'])} rows")
        elif (size := _size(path) if sizes is None else sizes.get(order["path"])) != part["num_bytes"]:
            here = "nothing" if size is None else f"{size} bytes"
            lost.append(f"{order['path']}: {part['num_bytes']} bytes written, {here} found")
    if lost:
        raise StoreError(
            f"{len(lost)} parts are not in {generation}:\n  " + "\n  ".join(lost[:10]),
            hint="put the store on storage that all nodes mount at this path, look for lost nodes, and prepare again",
        )


def _size(path: Place) -> int | None:
    return path.stat().st_size if isinstance(path, Path) and path.is_file() else None


def _first_lost(order: Mapping[str, Any], found: Sequence[object]) -> str:
    number = found.index(None)
    return f"{order['files'][number]} row {order['indexes'][number]}"


def _stored_rows(order: dict[str, Any], staged: Sequence[dict[str, Any]], secret: bytes) -> list[dict[str, Any]]:
    names = [name for name in rows_schema().names if name in LINE_COLUMNS]
    rows = []
    for offset, (file, groups, row) in enumerate(zip(order["files"], order["groups"], staged, strict=True)):
        rows.append(
            {
                **{name: row[name] for name in names},
                "sample_id": sample_id(order["subset"], file_stem(file), row["index"]),
                "subset": order["subset"],
                "split": order["split"],
                "order": order["start"] + offset,
                "places": [dict(zip(PLACE_FIELDS, place, strict=True)) for place in row["places"]],
                "group": "+".join(sorted(pseudonym(secret, group) for group in groups)) or None,
            }
        )
    return rows


def _write(rows: list[dict[str, Any]], path: Place) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_pylist(rows, schema=rows_schema()),
        sink,
        compression="zstd",
        row_group_size=ROWS_PER_ROW_GROUP,
        use_dictionary=_DICTIONARY_COLUMNS,
        write_page_checksum=True,
    )
    data = sink.getvalue().to_pybytes()
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        # Before the hash is told: what the manifest names is on the disk. Folders follow when all parts are there.
        sync(path)
    else:
        put(path, data)
    return {"num_rows": len(rows), "num_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
