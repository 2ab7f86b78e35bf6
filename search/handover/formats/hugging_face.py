"""A data set of the library `datasets`: Parquet with the images inside, prompt and completion with typed parts.

Typed parts say where each image stands; with plain text TRL puts all of them before the first user turn
(trl/data_utils.py). With `prompt` and `completion` the loss counts answers only, as the study's does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.handover.rows import TrainingRow

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_PER_PART = 1000
# Half of what the library `datasets` makes a shard of, and far from the 2 GiB that an Arrow array of bytes can hold.
_BYTES_PER_PART = 256 * 1024 * 1024
_TEXT = {"dtype": "string", "_type": "Value"}
_TURNS = {
    "feature": {"role": _TEXT, "content": {"feature": {"type": _TEXT, "text": _TEXT}, "_type": "List"}},
    "_type": "List",
}
# What the library reads a column's type from.
_FEATURES = {
    "id": _TEXT,
    "subset": _TEXT,
    "images": {"feature": {"_type": "Image"}, "_type": "List"},
    "prompt": _TURNS,
    "completion": _TURNS,
}


def write_parquet(folder: Path, rows: Sequence[TrainingRow]) -> None:
    """Write `data/train-*.parquet`, rows in their order, and remove the images' own files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data").mkdir()
    for number, part in enumerate(_parts(folder, rows)):
        path = folder / "data" / f"train-{number:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(part, schema=_schema()), path, row_group_size=100)
    for name in {name for row in rows for name in row.images}:
        (folder / name).unlink()
    (folder / "images").rmdir()


def _parts(folder: Path, rows: Sequence[TrainingRow]) -> Iterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    num_bytes = 0
    for row in rows:
        images = [(folder / name).read_bytes() for name in row.images]
        part.append(_record(row, images))
        num_bytes += sum(map(len, images))
        if len(part) >= _ROWS_PER_PART or num_bytes >= _BYTES_PER_PART:
            yield part
            part, num_bytes = [], 0
    if part:
        yield part


def _record(row: TrainingRow, images: Sequence[bytes]) -> dict[str, Any]:
    parts = [{"type": "image", "text": None} for _ in images]
    return {
        "id": row.sample_id,
        "subset": row.subset,
        "images": [{"bytes": data, "path": None} for data in images],
        "prompt": [{"role": "user", "content": [*parts, {"type": "text", "text": row.prompt}]}],
        "completion": [{"role": "assistant", "content": [{"type": "text", "text": row.answer}]}],
    }


def _schema() -> pa.Schema:
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    part = pa.struct([("type", pa.string()), ("text", pa.string())])
    turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(part))]))
    fields = {
        "id": pa.string(), "subset": pa.string(), "images": pa.list_(image), "prompt": turns, "completion": turns,
    }  # fmt: skip
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})})
