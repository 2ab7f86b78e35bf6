"""Where a record says that something lies: four numbers or the path of a mask, as Med-MAT-like files and tables do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from datasets_spec.boxes import numbers_in
from datasets_spec.readers.records import RowError, require_text
from datasets_spec.sample import OPEN_ANSWER, QuarantineReason

BOX_NAMES = ("box", "bbox")
MASK_NAME = "mask"


class Region(NamedTuple):
    """A published region: the numbers of a box, or the path of a mask image; never both."""

    box: tuple[float, ...] | None
    mask_path: str | None

    @property
    def columns(self) -> dict[str, Any]:
        """The fields of a sample whose answer it is."""
        return {
            "box": self.box,
            "mask_path": self.mask_path,
            "options": (),
            "answer_index": OPEN_ANSWER,
            "answer": "",
            "answer_kind": "box",
            "label": "box",
        }


def region_of(record: Mapping[str, Any]) -> Region | None:
    """Returns the region that a record names; None when it has none.

    Args:
        record: A record, or a table's row.

    Raises:
        RowError: There is a region that cannot be used: no four numbers, several boxes, or a box and a mask.
    """
    found = [(name, record[name]) for name in (*BOX_NAMES, MASK_NAME) if record.get(name) not in (None, "")]
    if not found:
        return None
    if len(found) > 1:
        raise RowError(QuarantineReason.malformed_row, "more than one of box, bbox and mask")
    name, value = found[0]
    if name == MASK_NAME:
        if not isinstance(value, str) or not value.strip():
            raise RowError(QuarantineReason.malformed_row, "the mask is not a path")
        require_text([value])
        return Region(box=None, mask_path=value)
    return Region(box=_numbers(value), mask_path=None)


def _numbers(value: Any) -> tuple[float, ...]:
    if isinstance(value, str):  # a spreadsheet's cell: "[1, 2, 3, 4]" or "1 2 3 4"
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = list(numbers_in(value))
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    is_plain = isinstance(value, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    if not is_plain or len(value) != 4:
        raise RowError(QuarantineReason.malformed_row, "a box is four numbers; write one box a record")
    try:
        return tuple(float(number) for number in value)
    except OverflowError:
        raise RowError(QuarantineReason.malformed_row, "a number of the box is too large") from None
