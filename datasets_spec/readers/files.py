"""Records of a data file, whatever holds them: a JSON array, JSON lines, CSV or Parquet, told by the suffix."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from datasets_spec.errors import ReaderError
from datasets_spec.readers.json_stream import iter_array, iter_lines
from datasets_spec.readers.records import RowError, as_record, group_of
from datasets_spec.sample import QuarantinedRow, QuarantineReason, RawSample
from datasets_spec.storage.place import Place

LINE_SUFFIXES = (".jsonl", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv")
SUFFIXES = (".json", *LINE_SUFFIXES, *TABLE_SUFFIXES, ".parquet")
_ROWS_PER_BATCH = 256


def rows_of(
    path: Place, subset: str, build: Callable[[int, dict[str, Any]], RawSample]
) -> Iterator[RawSample | QuarantinedRow]:
    """Yields every record of a file as a sample with its patient or a quarantined row, in order.

    Args:
        path: The file.
        subset: Name of the subset it belongs to.
        build: Makes a sample of position and record; raises :class:`RowError` where that is impossible.

    Raises:
        ReaderError: The file cannot be read in the format that its suffix names.
    """
    for index, value in enumerate(iter_records(path)):
        try:
            if isinstance(value, RowError):
                raise value
            record = as_record(value)
            yield replace(build(index, record), group=group_of(record))
        except RowError as error:
            yield error.quarantined(path, subset, index)


def iter_records(path: Place) -> Iterator[Any | RowError]:
    """Yields the records of a file; one that cannot be parsed by itself as a :class:`RowError`.

    Args:
        path: The file; what is no known suffix is taken for a JSON array, as published files are.

    Raises:
        ReaderError: The file cannot be read, or is damaged so that records cannot be told apart.
    """
    suffix = path.suffix.lower()
    try:
        # Opening a pipe or a device would wait, or never end.
        if isinstance(path, Path) and not stat.S_ISREG(path.stat().st_mode):
            raise ReaderError(f"{path} is no regular file", hint="check the pool and test paths of the catalog")
        with path.open("rb") as file:
            if suffix in LINE_SUFFIXES:
                yield from iter_lines(file)
            elif suffix in TABLE_SUFFIXES:
                yield from _table_rows(file, path.name, "," if suffix == ".csv" else "\t")
            elif suffix == ".parquet":
                yield from _parquet_rows(file, path.name)
            else:
                yield from iter_array(file, path.name)
    except (OSError, ValueError) as error:
        raise ReaderError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or type(error).__name__}",
            hint="check the pool and test paths of the catalog",
        ) from None


def _table_rows(file: BinaryIO, name: str, delimiter: str) -> Iterator[Any | RowError]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    # strict: a stray quote would else swallow the rows behind it without a word.
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        header = [column.strip() for column in next(rows, [])]
        if not header or len(set(header)) < len(header) or not all(header):
            raise ReaderError(f"{name} needs a first line that names every column, each differently")
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                detail = f"{len(row)} cells under {len(header)} columns"
                yield RowError(QuarantineReason.malformed_row, detail)
            else:
                yield dict(zip(header, row, strict=True))
    except UnicodeDecodeError as error:
        raise ReaderError(f"{name} is not UTF-8 text (near line {rows.line_num + 1}, byte {error.start})") from None
    except csv.Error as error:
        raise ReaderError(
            f"{name}:{rows.line_num}: not a table ({error})", hint="quote cells with quotes or line breaks in them"
        ) from None


def _parquet_rows(file: BinaryIO, name: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as table:
            _refuse_bytes(table.schema_arrow, name)
            for batch in table.iter_batches(batch_size=_ROWS_PER_BATCH):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ReaderError(f"{name} is no readable Parquet file ({type(error).__name__})") from None


def _refuse_bytes(schema: Any, name: str) -> None:
    """Refuses images kept inside a table: they have no path, by which every later check names them."""
    import pyarrow as pa

    def has_bytes(kind: Any) -> bool:
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return has_bytes(kind.value_type)
        if pa.types.is_struct(kind):
            return any(has_bytes(kind.field(number).type) for number in range(kind.num_fields))
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    held = [field.name for field in schema if has_bytes(field.type)]
    if held:
        raise ReaderError(
            f"{name} holds images inside the table (column '{held[0]}')",
            hint=f"write them to files first: recombine data unpack {name} DIR",
        )
