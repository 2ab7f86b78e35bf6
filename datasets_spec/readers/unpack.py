"""Images kept inside a Parquet table, written to files, with the rows that name them as JSON lines."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from datasets_spec.errors import ReaderError, UserError

IMAGES = "images"
_ROWS_PER_BATCH = 64
# First bytes of the formats that are read later; what is none of them gets no suffix and is refused there.
_SUFFIXES = {
    b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp", b"BM": ".bmp",
    b"II*\0": ".tif", b"MM\0*": ".tif",
}  # fmt: skip


def unpack_table(path: Path, folder: Path) -> tuple[Path, int, int]:
    """Writes the images of a Hugging Face style table to files and its rows to JSON lines that name them.

    Equal images become one file, named by its content. Nothing is decoded here: the files are checked when they are
    prepared, like any other.

    Args:
        path: A Parquet file whose images are bytes, or mappings of ``bytes`` and ``path``.
        folder: Where to; made if it is missing.

    Returns:
        The JSON lines file, the number of rows and of image files.

    Raises:
        ReaderError: The table cannot be read.
        UserError: The JSON lines file is there already.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = folder / f"{path.stem}.jsonl"
    if out.exists():
        raise UserError(f"{out} exists and stays as it is", hint="choose another folder")
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    names: set[str] = set()
    num_rows = 0
    partial = out.with_suffix(".partial")
    try:
        with pq.ParquetFile(path) as table, partial.open("w", encoding="utf-8") as lines:
            for batch in table.iter_batches(batch_size=_ROWS_PER_BATCH):
                for row in batch.to_pylist():
                    # Dates and decimals, which JSON does not have, as they are written.
                    lines.write(json.dumps(_unpacked(row, folder, names), ensure_ascii=False, default=str) + "\n")
                    num_rows += 1
    except (pa.ArrowException, OSError) as error:
        partial.unlink(missing_ok=True)
        raise ReaderError(f"{path.name} cannot be unpacked ({type(error).__name__})") from None
    partial.replace(out)
    return out, num_rows, len(names)


def _unpacked(value: Any, folder: Path, names: set[str]) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("bytes"), bytes) and set(value) <= {"bytes", "path"}:
            return _written(value["bytes"], folder, names)
        return {key: _unpacked(item, folder, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpacked(item, folder, names) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN
    return _written(value, folder, names) if isinstance(value, bytes) else value


def _written(data: bytes, folder: Path, names: set[str]) -> str:
    suffix = next((suffix for start, suffix in _SUFFIXES.items() if data.startswith(start)), "")
    name = f"{IMAGES}/{hashlib.sha256(data).hexdigest()[:24]}{suffix}"
    if name not in names:
        (folder / name).write_bytes(data)
        names.add(name)
    return name
