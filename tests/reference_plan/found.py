"""What was found among Python rows, frozen: contradictions, and rows that show the same."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from datasets_spec.copies.chunks import SeenImage
from datasets_spec.copies.groups import CopyGroups
from datasets_spec.sample import SPLITS
from datasets_spec.splits.leak_levels import LEVELS
from datasets_spec.store.manifest import Contradiction
from datasets_spec.store.tied_rows import TiedRow, TiedRows
from tests.reference_plan.rows import BYTES_LINK, IMAGE_LINK, NEAR_LINK, Row, RowPlan

MAX_PAIRS = 20_000
_KEPT = "kept"
Images = Mapping[str, SeenImage]


def count_asked(rows: Iterable[Mapping[str, Any]]) -> Counter[bytes]:
    """Counts how often the images of every row are asked about, by :func:`_asked_about`.

    Args:
        rows: Staged rows with ``subset`` and ``image_paths``.
    """
    return Counter(map(_asked_about, rows))


def question_key(row: Mapping[str, Any], asked: Mapping[bytes, int]) -> str:
    """Returns what makes a row's question the same as another's; empty for one that is not compared.

    That is the question with its options. Where an image is asked about once, as in sets of classes, the options alone
    decide, because such sets ask for one class in several wordings.

    Args:
        row: A staged row with the light columns.
        asked: Counts over all rows, from :func:`count_asked`.
    """
    key: str | None = row["options_key"] if asked[_asked_about(row)] == 1 else row["question_key"]
    return key or ""


def _asked_about(row: Mapping[str, Any]) -> bytes:
    # A few bytes a row instead of its paths.
    named = "\0".join((row["subset"], *(row["image_paths"] or ())))
    return hashlib.blake2b(named.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def find_contradictions(rows: Iterable[Row]) -> dict[str, tuple[int, Contradiction]]:
    """Counts rows of which another row shows the same picture, is asked the same and is answered differently.

    Rows of several images are left out: what is asked of them may depend on their order.

    Args:
        rows: Usable rows of all subsets, tied by their copies.

    Returns:
        By subset the number of such rows, and an example.
    """
    by_question: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        picture = _picture(row)
        if picture is not None and row.question_key:
            by_question.setdefault((picture, row.question_key), []).append(row)
    found: dict[str, tuple[int, Contradiction]] = {}
    for members in by_question.values():
        if len({row.answer_key for row in members}) < 2:
            continue
        for row in members:
            other = next(member for member in members if member.answer_key != row.answer_key)
            example = Contradiction(
                file=row.file, index=row.index, subset=other.subset, other_file=other.file, other_index=other.index
            )
            num, first = found.get(row.subset, (0, example))
            found[row.subset] = (num + 1, first)
    return found


def _picture(row: Row) -> str | None:
    images = [link for link in row.all_links if link.startswith(IMAGE_LINK)]
    near = [link for link in row.all_links if link.startswith(NEAR_LINK)]
    return (near or images)[0] if len(images) == 1 else None


def tied_rows(rows: Sequence[Row], images: Images, plan: RowPlan, groups: CopyGroups) -> list[TiedRows]:
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
    for row in sorted(rows, key=lambda row: row.place):
        for link in row.all_links:
            if link.startswith(IMAGE_LINK):
                shown.setdefault(link.removeprefix(IMAGE_LINK), {}).setdefault((row.subset, row.split), row)
    found = [*_of_one_image(shown, images, outcomes), *_of_two_images(shown, images, groups, outcomes)]
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
    shown: dict[str, dict[tuple[str, str], Row]], images: Images, outcomes: dict[int, str]
) -> Iterator[TiedRows]:
    for image, rows in sorted(shown.items()):
        first, *others = rows.values()
        for other in others:
            same_file = any(link.startswith(BYTES_LINK) for link in first.all_links & other.all_links)
            yield TiedRows(
                level="bytes" if same_file else "pixels",
                local=1.0,
                detail=1.0,
                one=_described(first, image, images, outcomes),
                two=_described(other, image, images, outcomes),
            )


def _of_two_images(
    shown: dict[str, dict[tuple[str, str], Row]], images: Images, groups: CopyGroups, outcomes: dict[int, str]
) -> Iterator[TiedRows]:
    for pair in groups.pairs:
        one, two = _rows_apart(list(shown[pair.one].values()), list(shown[pair.two].values()))
        yield TiedRows(
            level="near" if pair.relation == "copy" else "slices",
            local=pair.local,
            detail=pair.detail,
            one=_described(one, pair.one, images, outcomes),
            two=_described(two, pair.two, images, outcomes),
        )


def _rows_apart(one: Sequence[Row], two: Sequence[Row]) -> tuple[Row, Row]:
    """Two rows in unequal splits, where there are some."""
    both = [(first, second) for first in one for second in two]
    return next((pair for pair in both if pair[0].split != pair[1].split), both[0])


def _described(row: Row, image: str, images: Images, outcomes: dict[int, str]) -> TiedRow:
    seen = images[image]
    return TiedRow(
        subset=row.subset,
        file=row.file,
        index=row.index,
        split=row.split,
        outcome=outcomes.get(id(row), _KEPT),
        root=seen.root,
        published=seen.published,
    )
