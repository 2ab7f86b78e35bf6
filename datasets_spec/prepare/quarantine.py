"""Rows that are set aside: counted a subset, listed without their text, refused beyond a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets_spec.errors import MissingImagesError, QuarantineLimitError
from datasets_spec.sample import QuarantineReason
from datasets_spec.splits.row_table import RowSource, count_files
from datasets_spec.storage.files import replace_file
from datasets_spec.storage.place import Place

if TYPE_CHECKING:
    import pyarrow as pa

# Reasons that say nothing against a row: it is a copy, stands on the wrong side of the guard, or was not asked for.
NOT_FAULTS = (
    QuarantineReason.duplicate_row,
    QuarantineReason.leaked_row,
    QuarantineReason.not_selected,
    QuarantineReason.not_sampled,
)
NUM_EXAMPLES = 5
REASONS = tuple(QuarantineReason)


@dataclass(kw_only=True, slots=True)
class Tally:
    """What was read of a subset and what was set aside.

    Args:
        read: Rows found in its files.
        reasons: Rows set aside, by reason.
        missing: A few rows whose images are not there, by data file and index: a path may name a patient.
    """

    read: int = 0
    reasons: Counter[QuarantineReason] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)

    @property
    def selected(self) -> int:
        """Rows that the spec asks for; those it filters out are nobody's fault."""
        return self.read - self.reasons[QuarantineReason.not_selected]

    @property
    def faults(self) -> dict[str, int]:
        """Rows that cannot be used, by reason, most frequent first."""
        common = self.reasons.most_common()
        return {reason.value: num for reason, num in common if reason not in NOT_FAULTS}


def require_within_limit(tallies: Mapping[str, Tally], limit: float, list_path: Place) -> None:
    """Refuses subsets of which too many rows cannot be used.

    Args:
        tallies: Counts by subset.
        limit: Largest share of unusable rows.
        list_path: Where the rows are listed.

    Raises:
        MissingImagesError: Most of the unusable rows lack their images.
        QuarantineLimitError: Too many rows cannot be used for other reasons.
    """
    over = {
        name: tally for name, tally in sorted(tallies.items()) if sum(tally.faults.values()) > limit * tally.selected
    }
    if not over:
        return
    lines = [_line(name, tally) for name, tally in over.items()]
    missing = sum(tally.reasons[QuarantineReason.missing_image] for tally in over.values())
    total = sum(sum(tally.faults.values()) for tally in over.values())
    text = f"more than {limit:.0%} of the rows of {len(over)} subsets cannot be used:\n" + "\n".join(lines)
    if 2 * missing >= total:
        raise MissingImagesError(
            text + _examples(over),
            hint=f"download the images beneath image_root, or correct image_root in the catalog; all rows: {list_path}",
        )
    raise QuarantineLimitError(
        text, hint=f"all rows and reasons: {list_path}; repair the files or raise quarantine_limit"
    )


def _line(name: str, tally: Tally) -> str:
    faults = ", ".join(f"{reason} {num}" for reason, num in tally.faults.items())
    num = sum(tally.faults.values())
    return f"  {name}: {num} of {tally.selected} ({num / tally.selected:.1%}): {faults}"


def _examples(over: Mapping[str, Tally]) -> str:
    rows = [f"{name}: {row}" for name, tally in over.items() for row in tally.missing]
    if not rows:
        return ""
    return "\nrows (counted from 0) whose images are missing:\n" + "\n".join(f"  {row}" for row in rows[:NUM_EXAMPLES])


class AsideRows:
    """Rows that are not in the store, without anything they say, in columns.

    Args:
        places: Where rows come from.
    """

    def __init__(self, places: tuple[RowSource, ...]) -> None:
        self._places = places
        self._place, self._index, self._reason = np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int8)
        self._details: list[pa.Array] = []

    def __len__(self) -> int:
        return len(self._place)

    def add(
        self,
        place: NDArray[np.int32],
        index: NDArray[np.int64],
        reason: NDArray[np.int8],
        details: pa.Array | None = None,
    ) -> None:
        """Adds rows.

        Args:
            place: Of every row, a position among the places.
            index: Its position in the file.
            reason: Why, a position in ``REASONS``.
            details: A few words that hold no text of the row; none by default.
        """
        import pyarrow as pa

        self._place = np.concatenate([self._place, place])
        self._index = np.concatenate([self._index, index])
        self._reason = np.concatenate([self._reason, reason])
        self._details.append(pa.repeat("", len(place)) if details is None else details)

    def files(self) -> Counter[tuple[str, str]]:
        """Returns how many rows there are of every subset and file."""
        return count_files(self._places, self._place)

    def table(self) -> pa.Table:
        """Returns the rows by subset, file and index, with the columns that are listed."""
        import pyarrow as pa

        subset, file = (_ranks([place[field] for place in self._places])[self._place] for field in (0, 2))
        order = np.lexsort((self._index, file, subset))
        named = {
            name: pa.array([getattr(place, name) for place in self._places], pa.string()).take(self._place[order])
            for name in ("subset", "file")
        }
        return pa.table(
            {
                **named,
                "index": self._index[order],
                "reason": pa.array([reason.value for reason in REASONS], pa.string()).take(self._reason[order]),
                "detail": pa.chunked_array(self._details, pa.string()).take(order).combine_chunks(),
            }
        )


def _ranks(texts: Sequence[str]) -> NDArray[np.int64]:
    ordered = sorted(set(texts))
    return np.array([ordered.index(text) for text in texts], np.int64)


def write_quarantine(rows: AsideRows, path: Place) -> None:
    """Writes the list of rows that are not in the store, atomically.

    Args:
        rows: The rows.
        path: A Parquet file with the columns ``subset``, ``file``, ``index``, ``reason``, ``detail``.
    """
    import pyarrow.parquet as pq

    table = rows.table()
    replace_file(path, lambda temporary: pq.write_table(table, temporary, write_page_checksum=True))
