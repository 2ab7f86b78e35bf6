"""Checks that all formats share: what a record, a text and an image path must be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from datasets_spec.sample import QuarantinedRow, QuarantineReason
from datasets_spec.storage.place import Place

DUPLICATE_KEYS = "\0duplicate keys"
# Fields that name the patient or the study.
_GROUP_NAMES = ("group", "patient", "patient_id", "study", "study_id")


class RowError(Exception):
    """A record cannot become a sample; caught by the reader, which quarantines the record."""

    def __init__(self, reason: QuarantineReason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def quarantined(self, path: Place, subset: str, index: int) -> QuarantinedRow:
        """Returns the quarantined row that stands for the record."""
        return QuarantinedRow(subset=subset, file=path.name, index=index, reason=self.reason, detail=self.detail)


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
    if not paths or not all(path.strip() for path in paths):
        raise RowError(QuarantineReason.image_count_mismatch, "no image")
    require_text(paths)
    return tuple(paths)


def cells_of(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a row of a table under names whose case and spaces do not count.

    Args:
        record: The row.

    Raises:
        RowError: Two columns then have one name.
    """
    cells = _by_plain_name(record)
    if len(cells) < len(record):
        raise RowError(QuarantineReason.malformed_row, "two columns differ in case only")
    return cells


def _by_plain_name(record: dict[str, Any]) -> dict[str, Any]:
    return {" ".join(name.split()).casefold(): value for name, value in record.items()}


def group_of(record: dict[str, Any]) -> str | None:
    """Returns the patient or study that a record names, by the same names in every format; None where it names none.

    Args:
        record: The record.

    Raises:
        RowError: It is neither text nor a whole number.
    """
    return first_cell(_by_plain_name(record), _GROUP_NAMES)


def first_cell(cells: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """Returns the first of some columns that is filled, as text without outer whitespace; None where none is.

    Args:
        cells: A row, see :func:`cells_of`.
        names: Columns.

    Raises:
        RowError: One holds neither text nor a whole number.
    """
    for name in names:
        value = cells.get(name)
        if isinstance(value, float) and (math.isnan(value) or value.is_integer()):
            # Whole numbers of a column with gaps, as pandas keeps them.
            value = None if math.isnan(value) else int(value)
        if isinstance(value, bool) or (value is not None and not isinstance(value, str | int)):
            raise RowError(QuarantineReason.malformed_row, f"'{name}' is not text")
        if value is not None and str(value).strip():
            require_text([str(value)])
            return str(value).strip()
    return None


def source_of(record: dict[str, Any]) -> str | None:
    """Returns the published name of the original data set, where a record has one.

    Args:
        record: The record.

    Raises:
        RowError: It is not text.
    """
    return text_of(record, "source") if record.get("source") is not None else None


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
