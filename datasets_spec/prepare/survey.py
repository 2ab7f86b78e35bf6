"""What was read and opened: usable rows for the plan, unusable ones for the quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from datasets_spec.copies.chunks import SeenImage
from datasets_spec.errors import StoreError
from datasets_spec.prepare.inputs import DataFile, SubsetSource
from datasets_spec.prepare.quarantine import NUM_EXAMPLES, REASONS, AsideRows, Tally
from datasets_spec.prepare.staged_rows import LIGHT_COLUMNS, read_staged_columns
from datasets_spec.prepare.surveying.all_rows import AllRows, FoundRows
from datasets_spec.prepare.surveying.row_columns import RowColumns
from datasets_spec.sample import QuarantineReason
from datasets_spec.splits.row_plan import RowPlan
from datasets_spec.splits.row_table import Rows, RowTable, count_files
from datasets_spec.storage.place import Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """Rows found, sorted by usability.

    Args:
        rows: Usable rows.
        aside: The others.
        tallies: Counts by subset.
        images: Images of usable rows, by pixel hash, once they are looked up.
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


def survey_staging(staging: Place, files: Sequence[DataFile], sources: Mapping[str, SubsetSource]) -> Survey:
    """Reads hashes and verdicts of staged rows, column by column.

    Args:
        staging: Folder of staged rows.
        files: The data files that were to be read.
        sources: All subsets by name.

    Raises:
        StoreError: A row was staged twice, or rows of a file are not there; names the files.
    """
    everything, usable = AllRows(), RowColumns()
    for chunk in read_staged_columns(staging, LIGHT_COLUMNS):
        usable.add(everything.add(chunk))
    found = everything.finish()
    found.require_all(files, everything.num_read, staging)
    rows = usable.finish(
        places=found.places,
        place=found.place[found.is_usable],
        index=found.index[found.is_usable],
        is_asked_once=found.is_asked_once[found.is_usable],
        order=found.usable_order,
    )
    return Survey(
        rows=rows,
        aside=found.aside(),
        tallies=_tallies(found, sources),
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
