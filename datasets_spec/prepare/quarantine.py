"""Rows that are set aside: counted a subset, listed without their text, refused beyond a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasets_spec.atomic import replace_file
from datasets_spec.errors import MissingImagesError, QuarantineLimitError
from datasets_spec.sample import QuarantinedRow, QuarantineReason

# Reasons that say nothing against a row: it is a copy, stands on the wrong side of the guard, or was not asked for.
NOT_FAULTS = (
    QuarantineReason.duplicate_row,
    QuarantineReason.leaked_row,
    QuarantineReason.not_selected,
    QuarantineReason.not_sampled,
)
NUM_EXAMPLES = 5


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


def require_within_limit(tallies: Mapping[str, Tally], limit: float, list_path: Path) -> None:
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


def write_quarantine(rows: Sequence[QuarantinedRow], path: Path) -> None:
    """Writes the list of rows that are not in the store, atomically.

    Args:
        rows: The rows.
        path: A Parquet file with the columns ``subset``, ``file``, ``index``, ``reason``, ``detail``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered = sorted(rows, key=lambda row: (row.subset, row.file, row.index))
    table = pa.table(
        {
            "subset": pa.array([row.subset for row in ordered], pa.string()),
            "file": pa.array([row.file for row in ordered], pa.string()),
            "index": pa.array([row.index for row in ordered], pa.int64()),
            "reason": pa.array([row.reason.value for row in ordered], pa.string()),
            "detail": pa.array([row.detail for row in ordered], pa.string()),
        }
    )
    replace_file(path, lambda temporary: pq.write_table(table, temporary, write_page_checksum=True))
