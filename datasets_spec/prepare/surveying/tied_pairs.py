"""Finds for every two images that belong together the rows that show them, and what became of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets_spec.copies.groups import CopyGroups
from datasets_spec.prepare.quarantine import REASONS
from datasets_spec.prepare.survey import Survey
from datasets_spec.sample import SPLITS
from datasets_spec.splits.hashes import codes_in, from_hex, hex_text
from datasets_spec.splits.leak_levels import LEVELS
from datasets_spec.splits.row_plan import NO_SPLIT, RowPlan
from datasets_spec.splits.row_table import RowTable, first_of_runs
from datasets_spec.store.tied_rows import TiedRow, TiedRows

# More than anybody looks at; a volume published in slices has as many as it has slices.
MAX_PAIRS = 20_000
_KEPT = "kept"


class _Pair(NamedTuple):
    """Two rows, the earlier split first, with the image that each shows."""

    level: str
    local: float
    detail: float
    rows: tuple[int, int]
    images: tuple[int, int]


def tied_rows(survey: Survey, plan: RowPlan, groups: CopyGroups) -> list[TiedRows]:
    """Lists rows that show the same picture or neighbouring slices, those in unequal splits and least alike first.

    Args:
        survey: All rows.
        plan: What became of them.
        groups: Images that belong together.

    Returns:
        One pair of rows for every two images, and for every image in several subsets or splits.
    """
    table, shown = survey.rows, _Shown(survey.rows, plan)
    found = [_earlier_first(pair, plan) for pair in (*_of_one_image(shown), *_of_two_images(shown, groups, plan))]
    found.sort(
        key=lambda pair: (
            not _is_leak(pair, plan),
            LEVELS.index(pair.level),
            pair.local,
            pair.detail,
            *(part for row in pair.rows for part in _place(table, row)),
        )
    )
    outcome = np.full(len(table), -1, np.int8)
    for rows, reason in plan.removed:
        outcome[rows.positions] = REASONS.index(reason)
    return [_described(pair, survey, plan, outcome) for pair in found[:MAX_PAIRS]]


class _Shown:
    """For every image the first row of every subset and split that shows it."""

    def __init__(self, table: RowTable, plan: RowPlan) -> None:
        self.table = table
        num_cells = len(table.subsets) * (len(SPLITS) + 1)
        cell = table.subset * (len(SPLITS) + 1) + plan.split + 1
        rows, images = table.images.rows, table.images.codes.astype(np.int64)
        keys, first = np.unique(images * num_cells + cell[rows], return_index=True)
        # Of an image, cells in the order of their first rows.
        order = np.lexsort((first, keys // num_cells))
        self._rows, self._images = rows[first[order]], keys[order] // num_cells

    def rows_of(self, image: int) -> list[int]:
        """Returns its rows."""
        start, end = np.searchsorted(self._images, [image, image + 1])
        found: list[int] = self._rows[start:end].tolist()
        return found

    def of_several(self) -> Iterator[tuple[int, list[int]]]:
        """Yields images with several rows, and these."""
        starts = np.flatnonzero(first_of_runs(self._images))
        ends = np.append(starts[1:], len(self._images))
        for start, end in zip(starts[ends - starts > 1].tolist(), ends[ends - starts > 1].tolist(), strict=True):
            yield int(self._images[start]), self._rows[start:end].tolist()


def _of_one_image(shown: _Shown) -> Iterator[_Pair]:
    files = shown.table.files
    for image, (first, *others) in shown.of_several():
        for other in others:
            one, two = (set(files.codes[files.starts[row] : files.starts[row + 1]].tolist()) for row in (first, other))
            yield _Pair("bytes" if one & two else "pixels", 1.0, 1.0, (first, other), (image, image))


def _of_two_images(shown: _Shown, groups: CopyGroups, plan: RowPlan) -> Iterator[_Pair]:
    names = [name for pair in groups.pairs for name in (pair.one, pair.two)]
    if not names:
        return
    images = codes_in(shown.table.images.names, from_hex(names)).reshape(-1, 2).tolist()
    for pair, (one, two) in zip(groups.pairs, images, strict=True):
        rows = _rows_apart(shown.rows_of(one), shown.rows_of(two), plan)
        yield _Pair("near" if pair.relation == "copy" else "slices", pair.local, pair.detail, rows, (one, two))


def _rows_apart(one: Sequence[int], two: Sequence[int], plan: RowPlan) -> tuple[int, int]:
    """Two rows in unequal splits, where there are some."""
    both = [(first, second) for first in one for second in two]
    return next((pair for pair in both if plan.split[pair[0]] != plan.split[pair[1]]), both[0])


def _earlier_first(pair: _Pair, plan: RowPlan) -> _Pair:
    """The row of the earlier split is the one that leaks; a duplicate has none and comes first."""
    if plan.split[pair.rows[0]] <= plan.split[pair.rows[1]]:
        return pair
    return pair._replace(rows=pair.rows[::-1], images=pair.images[::-1])


def _is_leak(pair: _Pair, plan: RowPlan) -> bool:
    one, two = (int(plan.split[row]) for row in pair.rows)
    return NO_SPLIT not in (one, two) and one != two


def _place(table: RowTable, row: int) -> tuple[str, str, int]:
    place = table.places[table.place[row]]
    return place.subset, place.file, int(table.index[row])


def _described(pair: _Pair, survey: Survey, plan: RowPlan, outcome: NDArray[np.int8]) -> TiedRows:
    sides = []
    for row, image in zip(pair.rows, pair.images, strict=True):
        seen = survey.images[hex_text(survey.rows.images.names[image])]
        subset, file, index = _place(survey.rows, row)
        sides.append(
            TiedRow(
                subset=subset,
                file=file,
                index=index,
                split=SPLITS[plan.split[row]] if plan.split[row] != NO_SPLIT else "",
                outcome=REASONS[outcome[row]].value if outcome[row] >= 0 else _KEPT,
                root=seen.root,
                published=seen.published,
            )
        )
    return TiedRows(level=pair.level, local=pair.local, detail=pair.detail, one=sides[0], two=sides[1])
