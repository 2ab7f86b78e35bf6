"""Which rows are listed as showing the same, and which images are tied before any is compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets_spec.copies.chunks import ComparedPair, SeenImage
from datasets_spec.copies.groups import CopyGroups, CopySearch
from datasets_spec.prepare.quarantine import AsideRows
from datasets_spec.prepare.survey import Survey
from datasets_spec.prepare.surveying.tied_pairs import tied_rows
from datasets_spec.prepare.surveying.ties import MAX_PATIENTS_PER_IMAGE, known_patients, tie_rows
from datasets_spec.splits.hashes import hex_text
from datasets_spec.splits.leak_levels import LeakagePolicy
from datasets_spec.splits.row_plan import make_plan
from datasets_spec.store.secret import OWNER_ONLY
from datasets_spec.store.tied_rows import read_tied_rows, write_tied_rows
from tests.makers.rows import TRAIN_ONLY, group_of, hash_of, table_of, untied
from tests.makers.rows import planned_row as item
from tests.reference_plan.rows import Row


def survey_of(rows: list[Row]) -> Survey:
    images = {
        link.removeprefix("image:"): SeenImage(numbers=(), root="/data", published=f"{link}.png")
        for row in rows
        for link in row.links
        if link.startswith("image:")
    }
    table = table_of(rows)
    return Survey(rows=table, images=images, aside=AsideRows(table.places))


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
    b, b2, c, c2, d = map(hash_of, ("b", "b2", "c", "c2", "d"))
    pairs = (
        ComparedPair(one=b, two=b2, relation="copy", local=0.97, detail=0.8),
        ComparedPair(one=c, two=c2, relation="copy", local=0.93, detail=0.5),
        ComparedPair(one=c, two=d, relation="slice", local=0.9, detail=0.7),
    )
    groups = CopyGroups(copies={b: b, b2: b, c: c, c2: c}, slices={c: c, d: c}, pairs=pairs, search=CopySearch())
    survey = survey_of(rows)
    plan = make_plan(tie_rows(survey.rows, groups, LeakagePolicy()), TRAIN_ONLY, seed=0)
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


def test_images_are_tied_by_a_patient_that_both_are_named_for() -> None:
    rows = [item("pool", 0, "a", "p1"), item("pool", 1, "b", "p1"), item("pool", 2, "c"), item("pool", 3, "d", "p2")]
    rows += [item("pool", 4, "d", "p3"), item("pool", 5, "e", "p3"), item("pool", 6, "f", "p2")]
    rows += [item("pool", 7 + n, "nobody's", f"p{n}") for n in range(MAX_PATIENTS_PER_IMAGE + 1)]
    known = known_patients(table_of(rows))
    a, b, d, e, f = map(hash_of, "abdef")
    assert set(known) == {a, b, d, e, f}
    assert known[a] == known[b]
    # What d shows is two patients', and no row that shows f is tied to one that shows e: these are compared.
    assert known[d] in (known[e], known[f])
    assert known[e] != known[f]


@pytest.mark.parametrize(("action", "num_named"), [("drop", 2), ("warn", 1)])
@pytest.mark.parametrize("level", ["near", "slices"])
def test_a_patient_goes_with_an_edited_picture_where_that_is_acted_on(level: str, action: str, num_named: int) -> None:
    table = table_of([item("pool", 0, "a", "p"), item("pool", 1, "edited"), item("pool", 2, "b")])
    tied = dict.fromkeys(map(hash_of, ("a", "edited")), hash_of("a"))
    groups = CopyGroups(
        copies=tied if level == "near" else {}, slices=tied if level == "slices" else {}, search=CopySearch()
    )
    links = tie_rows(table, groups, LeakagePolicy.model_validate({level: action}))
    edges = links.edges("group")
    assert edges.rows.tolist() == [0, 1][:num_named]
    assert [hex_text(name) for name in links.names("group")] == [group_of("p")]


@pytest.mark.parametrize("level", ["near", "slices"])
def test_pairs_within_one_split_say_so(level: str) -> None:
    rows = [item("pool", 0, "a"), item("pool", 1, "b")]
    pair = ComparedPair(
        one=hash_of("a"), two=hash_of("b"), relation="copy" if level == "near" else "slice", local=0.95, detail=0.7
    )
    groups = CopyGroups(pairs=(pair,), search=CopySearch())
    survey = survey_of(rows)
    plan = make_plan(untied(survey.rows), TRAIN_ONLY, seed=0)
    (found,) = tied_rows(survey, plan, groups)
    assert (found.level, found.one.split, found.two.split, found.is_leak) == (level, "train", "train", False)
