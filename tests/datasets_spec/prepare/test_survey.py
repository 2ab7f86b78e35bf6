"""Rows are surveyed block by block, and found as when all of them were held and sorted."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_spec.canonical import content_hash
from datasets_spec.prepare.inputs import DataFile, SubsetSource
from datasets_spec.prepare.staged_rows import staged_table, write_staged
from datasets_spec.prepare.survey import Survey, survey_staging
from datasets_spec.splits.links import row_links
from datasets_spec.splits.row_plan import Row

FILES = [(subset, role, f"{role}-{name}.json") for subset in ("a", "b") for role in ("pool", "test") for name in "xy"]
SOURCE = SubsetSource(
    format="med_mat",
    image_root="/images",
    answer_kind="any",
    source_pattern=None,
    group_pattern=None,
    namespace="n",
)
SOURCES = {"a": SOURCE, "b": SOURCE}


def staged_row(place: tuple[str, str, str], index: int, drawn: int) -> dict[str, Any]:
    where = dict(zip(("subset", "role", "file"), place, strict=True))
    images = [f"{drawn}.png"] if drawn % 3 else [f"{drawn}.png", f"{drawn + 1}.png"]
    row = {**where, "index": index, "image_paths": images, "image_num_bytes": [index, 7][: len(images)]}
    if drawn % 5 == 4:
        return {**row, "reason": "missing_image", "detail": f"image {drawn}"}
    return {
        **row,
        "label": "xyz"[drawn % 3],
        "flags": ["skipped_letter"] * (drawn % 2),
        "groups": [f"g{drawn}"] * (drawn % 2),
        "image_hashes": [f"p{name}" for name in images],
        "image_bytes_hashes": [f"b{name}" for name in images],
        "content_hash": f"c{drawn}",
        "row_hash": f"r{drawn}",
        **dict.fromkeys(("question_key", "options_key", "answer_key"), content_hash(drawn) if drawn % 4 else None),
    }


def all_at_once(rows: list[dict[str, Any]]) -> list[Row]:
    """The usable rows as they were surveyed before: all sorted, then counted, then taken."""
    rows = sorted(rows, key=lambda row: (row["subset"], row["role"], row["file"], row["index"]))
    asked = Counter((row["subset"], tuple(row["image_paths"])) for row in rows)
    return [
        Row(
            **{name: row[name] for name in ("subset", "role", "file", "index", "content_hash", "row_hash", "label")},
            links=row_links(row["image_hashes"], row["groups"], row["image_bytes_hashes"]),
            num_bytes=sum(row["image_num_bytes"]),
            flags=tuple(row["flags"]),
            question_key=row["options_key" if asked[row["subset"], tuple(row["image_paths"])] == 1 else "question_key"]
            or "",
            answer_key=row["answer_key"] or "",
        )
        for row in rows
        if row.get("reason") is None
    ]


def surveyed(rows: list[dict[str, Any]], block_sizes: list[int]) -> Survey:
    files = [DataFile(subset=subset, role=role, file=file, path=Path(file)) for subset, role, file in FILES]
    with tempfile.TemporaryDirectory() as folder:
        waiting, number = list(rows), 0
        while waiting:
            size = block_sizes[number % len(block_sizes)]
            write_staged(staged_table(waiting[:size]), Path(folder), content_hash(number))
            waiting, number = waiting[size:], number + 1
        return survey_staging(Path(folder), files, SOURCES)


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=len(FILES), max_size=len(FILES)),
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_blocks_give_what_all_rows_at_once_gave(drawn: list[list[int]], block_sizes: list[int]) -> None:
    staged: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    for place, numbers in zip(FILES, drawn, strict=True):
        rows = [staged_row(place, index, number) for index, number in enumerate(numbers)]
        where = dict(zip(("subset", "role", "file"), place, strict=True))
        staged += [*rows, {**where, "index": -1, "num_read": len(rows)}]
        records += rows
    survey = surveyed(staged, block_sizes)
    for row in survey.rows:
        assert (row.block, row.offset) != ("", -1)
        row.block, row.offset = "", -1
    assert survey.rows == all_at_once(records)
    aside = [(row["subset"], row["file"], row["index"]) for row in records if row.get("reason")]
    assert [(row.subset, row.file, row.index) for row in survey.quarantined] == sorted(aside)
    assert survey.shown == {name for row in records if not row.get("reason") for name in row["image_hashes"]}
    assert survey.num_read.total() == len(records)


def test_texts_that_rows_share_are_held_once() -> None:
    place = FILES[0]
    where = dict(zip(("subset", "role", "file"), place, strict=True))
    rows = [staged_row(place, index, 1 + 30 * index) for index in range(9)]
    others = [{"subset": s, "role": r, "file": f, "index": -1, "num_read": 0} for s, r, f in FILES[1:]]
    survey = surveyed([*rows, {**where, "index": -1, "num_read": 9}, *others], [2])
    for name in ("subset", "role", "file", "label"):
        assert len({id(getattr(row, name)) for row in survey.rows}) == 1
