"""What the first pass found: usable rows for the plan, unusable ones for the quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datasets_spec.copies.chunks import SeenImage
from datasets_spec.errors import ReaderError, StoreError
from datasets_spec.prepare.inputs import DataFile, SubsetSource
from datasets_spec.prepare.quarantine import NUM_EXAMPLES, REASONS, AsideRows, Tally
from datasets_spec.prepare.staged_rows import (
    LIGHT_COLUMNS,
    MASK_COLUMNS,
    STATE_COLUMNS,
    read_staged,
    read_staged_columns,
)
from datasets_spec.prepare.surveying.all_rows import AllRows, FoundRows
from datasets_spec.prepare.surveying.row_columns import RowColumns
from datasets_spec.sample import QuarantineReason
from datasets_spec.splits.row_plan import RowPlan
from datasets_spec.splits.row_table import Rows, RowTable, count_files
from datasets_spec.store.secret import OWNER_ONLY


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """Rows found, sorted by usability.

    Args:
        rows: Usable rows.
        aside: The others.
        tallies: Counts by subset.
        images: Images of usable rows, by pixel hash.
        num_read: Rows read, by subset and file.
    """

    rows: RowTable
    aside: AsideRows
    tallies: dict[str, Tally] = field(default_factory=dict)
    images: Mapping[str, SeenImage] = field(default_factory=dict)
    num_read: Counter[tuple[str, str]] = field(default_factory=Counter)

    def set_aside(self, removed: Iterable[tuple[Rows, QuarantineReason]]) -> None:
        """Adds rows that the plan left out.

        Args:
            removed: Rows and reasons.
        """
        for rows, reason in removed:
            for (subset, _), num in rows.files().items():
                self.tallies[subset].reasons[reason] += num
            at = rows.positions
            self.aside.add(self.rows.place[at], self.rows.index[at], np.full(len(rows), REASONS.index(reason), np.int8))


def survey_staging(staging: Path, files: Sequence[DataFile], sources: Mapping[str, SubsetSource]) -> Survey:
    """Reads hashes and verdicts of staged rows, column by column.

    Args:
        staging: Folder of staged rows.
        files: The data files that were to be read.
        sources: All subsets by name.

    Raises:
        ReaderError: Files could not be read; names all of them.
        StoreError: A row was staged twice, or rows of a file are not there; names the files.
    """
    everything, usable = AllRows(), RowColumns()
    for chunk in read_staged_columns(staging, LIGHT_COLUMNS):
        usable.add(*everything.add(chunk))
    found = everything.finish()
    if everything.failures:
        raise ReaderError("\n".join(everything.failures))
    found.require_all(files, everything.num_read, staging)
    rows, images = usable.finish(
        places=found.places,
        place=found.place[found.is_usable],
        index=found.index[found.is_usable],
        is_asked_once=found.is_asked_once[found.is_usable],
        order=found.usable_order,
        roots=[sources[place.subset].image_root for place in everything.places_read],
    )
    return Survey(
        rows=rows,
        aside=found.aside(),
        tallies=_tallies(found, sources),
        images=images,
        num_read=count_files(found.places, found.place),
    )


def _tallies(found: FoundRows, names: Iterable[str]) -> dict[str, Tally]:
    """Counts rows by subset; reasons in the order in which they occur."""
    tallies = {name: Tally() for name in names}
    for (subset, _), num in count_files(found.places, found.place).items():
        tallies[subset].read += num
    aside = np.flatnonzero(~found.is_usable)
    kinds = found.place[aside].astype(np.int64) * len(REASONS) + found.reason[aside]
    _, first, nums = np.unique(kinds, return_index=True, return_counts=True)
    for at, num in sorted(zip(first.tolist(), nums.tolist(), strict=True)):
        place, code = divmod(int(kinds[at]), len(REASONS))
        tallies[found.places[place].subset].reasons[REASONS[code]] += num
    for row in np.flatnonzero(found.reason == REASONS.index(QuarantineReason.missing_image)).tolist():
        place = found.places[found.place[row]]
        if len(tallies[place.subset].missing) < NUM_EXAMPLES:
            tallies[place.subset].missing.append(f"{place.file} row {found.index[row]}")
    return tallies


def require_balance(survey: Survey, plan: RowPlan) -> None:
    """Refuses a plan that loses rows: of each file, rows read are rows planned and rows set aside.

    Args:
        survey: What was read and set aside, what the plan removed included.
        plan: What will be stored.

    Raises:
        StoreError: The numbers of a file differ; names the first.
    """
    told = survey.aside.files()
    for rows in plan.partitions.values():
        told.update(rows.files())
    for (subset, file), num in sorted(survey.num_read.items()):
        if told[subset, file] != num:
            raise StoreError(
                f"{subset}: {file}: of {num} rows, {told[subset, file]} are stored or set aside for a reason",
                hint="this is a fault of the program: report it with the catalog",
            )


def write_image_states(staging: Path, path: Path) -> None:
    """Writes size and time of every image that was looked at, to tell later whether one has changed.

    Args:
        staging: Folder of staged rows.
        path: A Parquet file with the columns ``subset``, ``path``, ``num_bytes``, ``mtime_ns``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    states: dict[tuple[str, str], tuple[int, int]] = {}
    for row in read_staged(staging, [*STATE_COLUMNS, *MASK_COLUMNS]):
        if row["mask_num_bytes"] is not None:
            states[row["subset"], row["mask_path"]] = (row["mask_num_bytes"], row["mask_mtime_ns"])
        numbers = zip(row["image_num_bytes"] or [], row["image_mtimes_ns"] or [], strict=True)
        for published, state in zip(row["image_paths"] or [], numbers, strict=False):
            states[row["subset"], published] = state
    ordered = sorted(states.items())
    table = pa.table(
        {
            "subset": pa.array([subset for (subset, _), _ in ordered], pa.string()),
            "path": pa.array([published for (_, published), _ in ordered], pa.string()),
            "num_bytes": pa.array([num_bytes for _, (num_bytes, _) in ordered], pa.int64()),
            "mtime_ns": pa.array([mtime for _, (_, mtime) in ordered], pa.int64()),
        }
    )
    path.touch(mode=OWNER_ONLY)  # folders on the way to an image may name patients
    pq.write_table(table, path, write_page_checksum=True)
