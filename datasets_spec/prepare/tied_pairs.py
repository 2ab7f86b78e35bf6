"""Finds for every two images that belong together the rows that show them, and what became of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datasets_spec.copies.groups import CopyGroups
from datasets_spec.prepare.survey import Survey
from datasets_spec.sample import SPLITS
from datasets_spec.splits.leak_levels import LEVELS
from datasets_spec.splits.links import BYTES_LINK, IMAGE_LINK
from datasets_spec.splits.row_plan import Row, RowPlan
from datasets_spec.store.tied_rows import TiedRow, TiedRows

# More than anybody looks at; a volume published in slices has as many as it has slices.
MAX_PAIRS = 20_000
_KEPT = "kept"


def tied_rows(survey: Survey, plan: RowPlan, groups: CopyGroups) -> list[TiedRows]:
    """Lists rows that show the same picture or neighbouring slices, those in unequal splits and least alike first.

    Args:
        survey: All rows, with their splits.
        plan: What became of them.
        groups: Images that belong together.

    Returns:
        One pair of rows for every two images, and for every image in several subsets or splits.
    """
    outcomes = {id(row): reason.value for row, reason in plan.removed}
    shown: dict[str, dict[tuple[str, str], Row]] = {}
    for row in sorted(survey.rows, key=lambda row: row.place):
        for link in row.all_links:
            if link.startswith(IMAGE_LINK):
                shown.setdefault(link.removeprefix(IMAGE_LINK), {}).setdefault((row.subset, row.split), row)
    found = [*_of_one_image(shown, survey, outcomes), *_of_two_images(shown, survey, groups, outcomes)]
    found = [_earlier_first(pair) for pair in found]
    found.sort(key=lambda pair: (not pair.is_leak, LEVELS.index(pair.level), pair.local, pair.detail, _place(pair)))
    return found[:MAX_PAIRS]


def _earlier_first(pair: TiedRows) -> TiedRows:
    """The row of the earlier split is the one that leaks; a duplicate has none and comes first."""
    ranks = [SPLITS.index(row.split) if row.split else -1 for row in (pair.one, pair.two)]
    return pair if ranks[0] <= ranks[1] else pair.model_copy(update={"one": pair.two, "two": pair.one})


def _place(pair: TiedRows) -> tuple[str, str, int, str, str, int]:
    one, two = pair.one, pair.two
    return (one.subset, one.file, one.index, two.subset, two.file, two.index)


def _of_one_image(
    shown: dict[str, dict[tuple[str, str], Row]], survey: Survey, outcomes: dict[int, str]
) -> Iterator[TiedRows]:
    for image, rows in sorted(shown.items()):
        first, *others = rows.values()
        for other in others:
            same_file = any(link.startswith(BYTES_LINK) for link in first.all_links & other.all_links)
            yield TiedRows(
                level="bytes" if same_file else "pixels",
                local=1.0,
                detail=1.0,
                one=_described(first, image, survey, outcomes),
                two=_described(other, image, survey, outcomes),
            )


def _of_two_images(
    shown: dict[str, dict[tuple[str, str], Row]], survey: Survey, groups: CopyGroups, outcomes: dict[int, str]
) -> Iterator[TiedRows]:
    for pair in groups.pairs:
        one, two = _rows_apart(list(shown[pair.one].values()), list(shown[pair.two].values()))
        yield TiedRows(
            level="near" if pair.relation == "copy" else "slices",
            local=pair.local,
            detail=pair.detail,
            one=_described(one, pair.one, survey, outcomes),
            two=_described(two, pair.two, survey, outcomes),
        )


def _rows_apart(one: Sequence[Row], two: Sequence[Row]) -> tuple[Row, Row]:
    """Two rows in unequal splits, where there are some."""
    both = [(first, second) for first in one for second in two]
    return next((pair for pair in both if pair[0].split != pair[1].split), both[0])


def _described(row: Row, image: str, survey: Survey, outcomes: dict[int, str]) -> TiedRow:
    seen = survey.images[image]
    return TiedRow(
        subset=row.subset,
        file=row.file,
        index=row.index,
        split=row.split,
        outcome=outcomes.get(id(row), _KEPT),
        root=seen.root,
        published=seen.published,
    )
