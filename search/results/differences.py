"""The places where a stored file and the same file computed again differ, in words."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTHING = ""
COLUMNS = "columns"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """By how much two numbers may differ and be the same.

    Attributes:
        relative: as a share of the larger.
        absolute: whatever their size.
        may_add: whether what is computed may say more than what is stored, as a later version does: names of a mapping,
            and columns behind the stored ones.
    """

    relative: float
    absolute: float
    may_add: bool = False

    def holds(self, stored: float, again: float) -> bool:
        """Whether they are the same."""
        return math.isclose(stored, again, rel_tol=self.relative, abs_tol=self.absolute) or (
            math.isnan(stored) and math.isnan(again)
        )


def find_difference(stored: Path, again: Path, tolerance: Tolerance) -> str:
    """Say where a stored file first differs from what it should hold; "" where it does not (`file_differences`)."""
    return next(file_differences(stored, again, tolerance), NOTHING)


def file_differences(stored: Path, again: Path, tolerance: Tolerance) -> Iterator[str]:
    """Yield every place where a stored file differs from what it should hold.

    Args:
        stored: the study's file.
        again: the same file computed again.
        tolerance: for numbers; text must be equal.
    """
    if not stored.is_file():
        yield "it is missing"
        return
    suffix = stored.suffix
    readers = {".json": _read_json, ".csv": _read_csv, ".parquet": _read_parquet, ".pdf": _read_hash}
    read: Callable[[Path], Any] = readers.get(suffix, _read_lines)
    try:
        content = read(stored)
    except (OSError, ValueError) as error:
        yield f"it cannot be read: {type(error).__name__}"
        return
    yield from _differ(content, read(again), tolerance, "")


def find_value_difference(stored: Any, again: Any, tolerance: Tolerance) -> str:
    """Say where two plain structures first differ; "" where they do not."""
    return next(_differ(stored, again, tolerance, ""), NOTHING)


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_csv(path: Path) -> Any:
    import pandas as pd

    frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    rows = [{str(k): _number(v) for k, v in row.items()} for row in frame.to_dict("records")]
    return {COLUMNS: list(frame.columns), "row": rows}


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _read_parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    table = pq.read_table(path, page_checksum_verification=True)
    return {COLUMNS: table.column_names, "row": table.to_pylist()}


def _read_lines(path: Path) -> Any:
    return {"line": path.read_text(encoding="utf-8").split("\n")}


def _read_hash(path: Path) -> Any:
    return {"SHA-256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _differ(stored: Any, again: Any, tolerance: Tolerance, where: str) -> Iterator[str]:
    if isinstance(stored, Mapping) and isinstance(again, Mapping):
        for name in dict.fromkeys((*stored, *again)):
            place = f"{where} {name}".strip()
            if name not in stored and tolerance.may_add:
                continue
            if name not in stored or name not in again:
                yield f"{place} is {'missing' if name not in stored else 'there'}, and computed it is otherwise"
            else:
                yield from _differ(stored[name], again[name], tolerance, place)
        return
    if isinstance(stored, Sequence) and isinstance(again, Sequence) and not isinstance(stored, str):
        for number, (one, other) in enumerate(zip(stored, again, strict=False), start=1):
            yield from _differ(one, other, tolerance, f"{where} {number}".strip())
        has_more_columns = where == COLUMNS and tolerance.may_add and len(again) > len(stored)
        if len(stored) != len(again) and not has_more_columns:
            yield f"it has {len(stored)} of {where or 'its entries'}, and computed {len(again)}"
        return
    numbers = isinstance(stored, int | float) and isinstance(again, int | float)
    if not (tolerance.holds(stored, again) if numbers else stored == again):
        yield f"{where} is {_short(stored)}, and computed {_short(again)}"


def _short(value: Any, most: int = 80) -> str:
    text = str(value)
    return text if len(text) <= most else text[:most] + "…"
