"""A JSON array of records from disk, without trusting it, and checks both formats share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from datasets_spec.errors import ReaderError
from datasets_spec.sample import QuarantinedRow, QuarantineReason

# Med-MAT's aggregated files have some 10 MB; 2 GB of JSON would need about 10 GB of memory to parse.
MAX_FILE_BYTES = 2_000_000_000
DUPLICATE_KEYS = "\0duplicate keys"


class RowError(Exception):
    """A record cannot become a sample; caught by the reader, which quarantines the record."""

    def __init__(self, reason: QuarantineReason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def quarantined(self, path: Path, subset: str, index: int) -> QuarantinedRow:
        """Returns the quarantined row that stands for the record."""
        return QuarantinedRow(subset=subset, file=path.name, index=index, reason=self.reason, detail=self.detail)


def load_records(path: Path) -> list[Any]:
    """Parses a file that must hold one JSON array.

    Args:
        path: The file.

    Raises:
        ReaderError: It cannot be read or is no JSON array; names position, never content.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ReaderError(f"{path.name} has {size:,} bytes; the limit is {MAX_FILE_BYTES:,}", hint="split it")
        text = path.read_bytes().decode("utf-8-sig")
        records = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_pairs)
    except OSError as error:
        raise ReaderError(
            f"cannot read {path}: {error.strerror or type(error).__name__}",
            hint="check the pool and test paths of the catalog",
        ) from None
    except UnicodeDecodeError as error:
        raise ReaderError(f"{path.name} is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ReaderError(
            f"{path.name}:{error.lineno}:{error.colno}: not a JSON array ({error.msg})",
            hint="the file must hold one array of records: [{...}, {...}]",
        ) from None
    except (ValueError, RecursionError):
        # NaN, integers of thousands of digits, brackets nested beyond the interpreter's stack.
        raise ReaderError(f"{path.name} holds NaN, a huge number or too deep nesting") from None
    if not isinstance(records, list):
        raise ReaderError(f"{path.name} holds one JSON {type(records).__name__}, not an array of records")
    return records


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json keeps the last of two equal keys; which one the publisher meant is unknown.
    record = dict(pairs)
    if len(record) < len(pairs):
        record[DUPLICATE_KEYS] = True
    return record


def as_record(value: Any) -> dict[str, Any]:
    """Returns a record that is a mapping without repeated keys.

    Args:
        value: An item of the array.

    Raises:
        RowError: It is not.
    """
    if not isinstance(value, dict):
        raise RowError(QuarantineReason.malformed_row, f"a JSON {type(value).__name__}, not a record")
    if DUPLICATE_KEYS in value:
        raise RowError(QuarantineReason.malformed_row, "a key is written twice")
    return value


def text_of(record: dict[str, Any], key: str) -> str:
    """Returns a text field.

    Args:
        record: The record.
        key: Name of the field.

    Raises:
        RowError: It is absent, not text, or not encodable as UTF-8.
    """
    value = record.get(key)
    if not isinstance(value, str):
        raise RowError(QuarantineReason.malformed_row, f"'{key}' is not text")
    require_text([value])
    return value


def paths_of(value: Any) -> tuple[str, ...]:
    """Returns image paths given as one text or a list of texts.

    Args:
        value: The field.

    Raises:
        RowError: It is neither.
    """
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise RowError(QuarantineReason.malformed_row, "the image paths are not text")
    if not paths:
        raise RowError(QuarantineReason.image_count_mismatch, "no image")
    require_text(paths)
    return tuple(paths)


def require_text(texts: Iterable[str]) -> None:
    """Refuses text that no file can hold.

    JSON may spell half a surrogate pair; Arrow and UTF-8 writers fail on it much later.

    Args:
        texts: Texts of a record.

    Raises:
        RowError: One of them has no UTF-8 form.
    """
    try:
        for text in texts:
            text.encode("utf-8")
    except UnicodeEncodeError:
        raise RowError(QuarantineReason.malformed_row, "half a surrogate pair") from None
