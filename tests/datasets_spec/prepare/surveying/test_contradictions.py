"""Patients known in part, and copies that are answered differently: counted and said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_spec.check.check import check_store
from datasets_spec.prepare.prepare_store import prepare_store
from datasets_spec.prepare.surveying.contradictions import comparison_keys, find_contradictions
from datasets_spec.sample import SPLITS
from datasets_spec.store.manifest import Contradiction
from datasets_spec.store.store import open_store
from tests.makers.corpus import mat_pool, mat_record, save_picture, subset_lines, write_catalog, write_json
from tests.makers.rows import named_links, table_of, untied
from tests.reference_plan.found import count_asked, question_key
from tests.reference_plan.rows import Row


def staged(image: str, question: str, answer: str, *, kind: str = "closed", path: str | None = None) -> dict[str, Any]:
    row = {
        "subset": "s",
        "image": image,
        "question": question,
        "answer": answer,
        "answer_kind": kind,
        "options": ["yes", "no"],
        "image_paths": [path or f"{image}.png"],
    }
    return {**row, "question_key": None, "options_key": None, "answer_key": None, **comparison_keys(row)}


def contradictions(*rows: dict[str, Any]) -> dict[str, tuple[int, Contradiction]]:
    asked = count_asked(rows)
    keys = [question_key(row, asked) for row in rows]
    planned = [
        Row(
            subset="s", role="pool", file="f.json", index=index, content_hash="", row_hash="", label="",
            links=named_links([row["image"]]), question_key=key, answer_key=row["answer_key"] or "",
        )
        for index, (row, key) in enumerate(zip(rows, keys, strict=True))
    ]  # fmt: skip
    return find_contradictions(untied(table_of(planned)))


def test_one_picture_with_two_answers_contradicts_itself() -> None:
    one, two = (
        staged("a", "Is it round?", "yes", path="benign/1.png"),
        staged("a", "Round, is it?", "No ", path="m/1.png"),
    )
    found = contradictions(one, two, staged("b", "Is it round?", "yes"))
    example = Contradiction(file="f.json", index=0, subset="s", other_file="f.json", other_index=1)
    assert found == {"s": (2, example)}


@pytest.mark.parametrize(
    "rows",
    [
        # Several questions about one image, an open answer, a box, equal answers in other letters.
        (staged("a", "Is it round?", "yes"), staged("a", "Is it red?", "no")),
        (staged("a", "What is it?", "round", kind="open", path="1"), staged("a", "What is it?", "a disc", kind="open")),
        (staged("a", "Where?", "1 2 3 4", kind="box", path="1"), staged("a", "Where?", "5 6 7 8", kind="box")),
        (staged("a", "Is it round?", "yes", path="1"), staged("a", "Is it round?", " YES")),
    ],
)
def test_rows_that_may_both_be_right_do_not(rows: tuple[dict[str, Any], ...]) -> None:
    assert contradictions(*rows) == {}


@pytest.mark.ray
def test_both_are_counted_and_said(tmp_path: Path, local_ray: None) -> None:
    pool = mat_pool(tmp_path, "pool", 30, first=0, per_patient=2)
    for number in range(4):
        save_picture(tmp_path / "images" / "pool" / "unnamed" / f"{number}.png", 100 + number)
        pool.append(mat_record(30 + number, f"pool/unnamed/{number}.png", 0))
    save_picture(tmp_path / "images" / "pool" / "unnamed" / "copy.png", 7)
    pool.append(mat_record(34, "pool/unnamed/copy.png", 2))  # row 7 shows it too, and says 1
    write_json(tmp_path / "pool.json", pool)
    catalog = write_catalog(tmp_path, [subset_lines("s", pool=["pool.json"], group_pattern=r"/(p\d+)/")])
    told: list[str] = []
    manifest = prepare_store(catalog, tmp_path / "store", on_event=told.append).manifest
    counts = manifest.subsets["s"]
    assert (counts.kept, counts.num_grouped, counts.groups_known, counts.contradicting) == (
        35,
        31,
        False,
        2,
    )  # the copy is row 7's patient's
    assert "s: patients of 31 of 35 rows are known; 4 rows name none" in told
    assert any("2 rows show a picture that another row answers differently, such as pool.json row 7" in t for t in told)
    store = open_store(tmp_path / "store")
    found = check_store(store, catalog, sources=[], eval_sets=[])
    assert any("patients of 31 of 35 rows are known" in note.text for note in found.advice)
    assert any("pool.json row 7 and pool.json row 34" in note.text for note in found.advice)
    splits: dict[str, set[str]] = {}
    for split in SPLITS:
        for row in store.read("s", split, columns=["group"]).to_pylist():
            if row["group"]:
                splits.setdefault(row["group"], set()).add(split)
    assert len(splits) == 15
    assert all(len(where) == 1 for where in splits.values())
