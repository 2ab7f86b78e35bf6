"""Which rows are listed as showing the same, and which images are tied before any is compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets_spec.copies.chunks import SeenImage, TiedPair
from datasets_spec.copies.groups import CopyGroups, CopySearch
from datasets_spec.prepare.survey import Survey, known_patients, tie_rows
from datasets_spec.prepare.tied_pairs import tied_rows
from datasets_spec.splits.leak_levels import LeakagePolicy
from datasets_spec.splits.links import row_links
from datasets_spec.splits.row_plan import Row, make_plan
from datasets_spec.store.secret import OWNER_ONLY
from datasets_spec.store.tied_rows import read_tied_rows, write_tied_rows
from tests.makers.rows import TRAIN_ONLY
from tests.makers.rows import planned_row as item


def survey_of(rows: list[Row]) -> Survey:
    images = {
        link.removeprefix("image:"): SeenImage(numbers=(), root="/data", published=f"{link}.png")
        for row in rows
        for link in row.links
        if link.startswith("image:")
    }
    return Survey(rows=rows, images=images)


def test_rows_in_unequal_splits_come_first_and_the_least_alike_before_others(tmp_path: Path) -> None:
    rows = [
        item("pool", 0, "a", data="same"),
        item("pool", 1, "b"),
        item("pool", 2, "c"),
        item("pool", 3, "d"),
        item("test", 0, "a", data="same"),
        item("test", 1, "b2"),
        item("test", 2, "c2"),
    ]
    pairs = (
        TiedPair(one="b", two="b2", relation="copy", local=0.97, detail=0.8),
        TiedPair(one="c", two="c2", relation="copy", local=0.93, detail=0.5),
        TiedPair(one="c", two="d", relation="slice", local=0.9, detail=0.7),
    )
    groups = CopyGroups(
        copies={"b": "b", "b2": "b", "c": "c", "c2": "c"}, slices={"c": "c", "d": "c"}, pairs=pairs, search=CopySearch()
    )
    policy, survey = LeakagePolicy(), survey_of(rows)
    tie_rows(rows, groups, policy)
    plan = make_plan(rows, TRAIN_ONLY, seed=0, policy=policy)
    found = tied_rows(survey, plan, groups)
    assert [(pair.level, pair.one.index, pair.two.index, pair.is_leak) for pair in found] == [
        ("bytes", 0, 0, True),
        ("near", 2, 2, True),
        ("near", 1, 1, True),
        ("slices", 2, 3, False),
    ]
    assert [(pair.one.outcome, pair.two.outcome) for pair in found[:2]] == [("leaked_row", "kept")] * 2
    path = tmp_path / "tied.parquet"
    write_tied_rows(found, path)
    assert read_tied_rows(path) == found
    assert path.stat().st_mode & 0o777 == OWNER_ONLY


def test_images_are_tied_by_their_patients_directly_or_through_others() -> None:
    rows = [item("pool", 0, "a", "p1"), item("pool", 1, "b", "p1"), item("pool", 2, "c"), item("pool", 3, "d", "p2")]
    rows.append(
        Row(
            subset="pool",
            role="pool",
            file="f.json",
            index=4,
            content_hash="4",
            row_hash="4",
            label="x",
            links=row_links(["d", "e"], ["p3"]),
        )
    )
    known = known_patients(rows)
    assert set(known) == {"a", "b", "d", "e"}
    assert known["a"] == known["b"]
    assert known["d"] == known["e"]
    assert known["a"] != known["d"]


@pytest.mark.parametrize("level", ["near", "slices"])
def test_pairs_within_one_split_say_so(level: str) -> None:
    rows = [item("pool", 0, "a"), item("pool", 1, "b")]
    pair = TiedPair(one="a", two="b", relation="copy" if level == "near" else "slice", local=0.95, detail=0.7)
    groups = CopyGroups(pairs=(pair,), search=CopySearch())
    plan = make_plan(rows, TRAIN_ONLY, seed=0)
    (found,) = tied_rows(survey_of(rows), plan, groups)
    assert (found.level, found.one.split, found.two.split, found.is_leak) == (level, "train", "train", False)
