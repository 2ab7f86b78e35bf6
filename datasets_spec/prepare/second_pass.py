"""Second pass over the data, run by Ray Data: planned rows + image files -> Parquet parts."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_spec.atomic import sync
from datasets_spec.errors import StorageError, StoreError
from datasets_spec.images.files import read_image, resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.images.strip_metadata import without_metadata
from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.prepare.staged_rows import ordered_rows
from datasets_spec.sample import QuarantineReason, arrow_schema, file_stem, sample_id
from datasets_spec.splits.row_plan import Row, RowPlan
from datasets_spec.store.secret import pseudonym, read_secret

if TYPE_CHECKING:
    import pyarrow as pa

# A part is what one task holds in memory; a row group is the least a prefix read has to decode.
MAX_ROWS_PER_PART = 512
MAX_BYTES_PER_PART = 64 * 1024 * 1024
ROWS_PER_ROW_GROUP = 128
_DICTIONARY_COLUMNS = ["subset", "split", "answer_kind", "label"]


def part_path(subset: str, split: str, number: int) -> str:
    """Returns where a part lies in its generation.

    Args:
        subset: Its subset.
        split: Its split.
        number: 0-based number in the partition.
    """
    return f"data/subset={subset}/split={split}/part-{number:05d}.parquet"


def divide(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    """Cuts a partition into parts.

    Args:
        rows: Ordered rows of one subset and split.

    Yields:
        Order of the first row, and the rows of the part.
    """
    start, num_bytes = 0, 0
    for position, row in enumerate(rows):
        is_full = position - start == MAX_ROWS_PER_PART or num_bytes + row.num_bytes > MAX_BYTES_PER_PART
        if position > start and is_full:
            yield start, rows[start:position]
            start, num_bytes = position, 0
        num_bytes += row.num_bytes
    if rows:
        yield start, rows[start:]


def order_table(subset: str, split: str, rows: Sequence[Row]) -> pa.Table:
    """Returns the work order of a partition: one row a part.

    Args:
        subset: Its subset.
        split: Its split.
        rows: Its ordered rows.
    """
    import pyarrow as pa

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
    import pyarrow as pa
    import pyarrow.parquet as pq

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


def write_parts(
    batch: pa.Table,
    *,
    staging: str,
    generation: str,
    sources: dict[str, SubsetSource],
    limits: ImageLimits,
    secret_path: str,
) -> pa.Table:
    """Writes the parts a batch orders.

    Args:
        batch: Work orders from :func:`order_table`.
        staging: Folder of staged rows.
        generation: Folder to write beneath.
        sources: Subsets by name.
        limits: What an image may cost.
        secret_path: The store's secret.

    Returns:
        One row a part: ``subset``, ``split``, ``path``, ``num_rows``, ``num_bytes``, ``sha256``, and
        ``failure``, set if an image changed since it was checked or staged rows are not seen here.
    """
    import pyarrow as pa

    done = []
    secret = read_secret(Path(secret_path))
    for order in batch.to_pylist():
        result = {name: order[name] for name in ("subset", "split", "path")}
        found = ordered_rows(staging, order)
        staged = [row for row in found if row is not None]
        if len(staged) < len(found):
            where = f"the node {platform.node()} sees {len(staged)} of {len(found)} staged rows of '{order['subset']}'"
            done.append({**result, "failure": f"{where}, and not {_first_lost(order, found)}"})
            continue
        try:
            rows = _stored_rows(order, staged, sources[order["subset"]], limits, secret)
        except ImageRefused:
            done.append({**result, "failure": f"an image of '{order['subset']}' changed while it was prepared"})
            continue
        except StorageError as error:
            done.append({**result, "failure": f"node {platform.node()}: {error.message}"})
            continue
        done.append({**result, **_write(rows, Path(generation) / order["path"])})
    texts = ("subset", "split", "path", "sha256", "failure")
    numbers = ("num_rows", "num_bytes")
    schema = pa.schema([*((name, pa.string()) for name in texts), *((name, pa.int64()) for name in numbers)])
    return pa.Table.from_pylist(done, schema=schema)


def require_parts(orders: Sequence[pa.Table], parts: Sequence[Mapping[str, Any]], generation: Path) -> None:
    """Refuses parts that were ordered and are not all here, whole, where this process looks.

    Args:
        orders: What was ordered, from :func:`order_table`.
        parts: What the workers say they wrote, from :func:`write_parts`.
        generation: Folder they wrote beneath.

    Raises:
        StoreError: An image changed meanwhile, or parts are missing or of another size; names them.
    """
    failures = sorted({part["failure"] for part in parts if part["failure"]})
    if failures:
        raise StoreError(
            "; ".join(failures), hint="prepare again when nothing writes to the images and all nodes mount the store"
        )
    written = {part["path"]: part for part in parts}
    lost = []
    for order in (row for table in orders for row in table.select(["path", "indexes"]).to_pylist()):
        part, path = written.get(order["path"]), generation / order["path"]
        if part is None or part["num_rows"] != len(order["indexes"]):
            told = "nothing" if part is None else f"{part['num_rows']} rows"
            lost.append(f"{order['path']}: {told} written of {len(order['indexes'])} rows")
        elif not path.is_file() or path.stat().st_size != part["num_bytes"]:
            here = f"{path.stat().st_size} bytes" if path.is_file() else "nothing"
            lost.append(f"{order['path']}: {part['num_bytes']} bytes written, {here} found")
    if lost:
        raise StoreError(
            f"{len(lost)} parts are not in {generation}:\n  " + "\n  ".join(lost[:10]),
            hint="put the store on storage that all nodes mount at this path, look for lost nodes, and prepare again",
        )


def _first_lost(order: Mapping[str, Any], found: Sequence[object]) -> str:
    number = found.index(None)
    return f"{order['files'][number]} row {order['indexes'][number]}"


def _stored_rows(
    order: dict[str, Any],
    staged: Sequence[dict[str, Any]],
    source: SubsetSource,
    limits: ImageLimits,
    secret: bytes,
) -> list[dict[str, Any]]:
    rows = []
    for offset, (file, row) in enumerate(zip(order["files"], staged, strict=True)):
        rows.append(
            {
                **{name: row[name] for name in arrow_schema().names if name in row},
                "sample_id": sample_id(order["subset"], file_stem(file), row["index"]),
                "subset": order["subset"],
                "split": order["split"],
                "order": order["start"] + offset,
                "images": _images(row, source, limits),
                "group": "+".join(sorted(pseudonym(secret, group) for group in row["groups"])) or None,
            }
        )
    return rows


def _images(row: dict[str, Any], source: SubsetSource, limits: ImageLimits) -> list[bytes]:
    images = []
    for published, bytes_hash in zip(row["image_paths"], row["image_bytes_hashes"], strict=True):
        data = read_image(resolve_beneath(source.image_root, published), limits)
        if hashlib.sha256(data).hexdigest() != bytes_hash:
            raise ImageRefused(QuarantineReason.missing_image, "changed")
        images.append(without_metadata(data, limits))
    return images


def _write(rows: list[dict[str, Any]], path: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.Table.from_pylist(rows, schema=arrow_schema()),
        path,
        compression="zstd",
        row_group_size=ROWS_PER_ROW_GROUP,
        use_dictionary=_DICTIONARY_COLUMNS,
        write_page_checksum=True,
    )
    # Before the hash is told: what the manifest names is on the disk. Folders follow when all parts are there.
    sync(path)
    data = path.read_bytes()
    return {"num_rows": len(rows), "num_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
