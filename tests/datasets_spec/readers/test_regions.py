"""Boxes and masks on their way from a file to the answer that is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.readers import get_reader
from datasets_spec.sample import QuarantinedRow, RawSample
from tests.makers.formats import llava_record, write_records
from tests.makers.staging import finished_rows

SIZE = (200, 100)


def source(root: Path, **changes: Any) -> SubsetSource:
    given: dict[str, Any] = {"format": "med_mat", "image_root": str(root), "answer_kind": "any", "box_form": None}
    rest = {"source_pattern": None, "group_pattern": None, "namespace": "s"}
    return SubsetSource(**(given | rest | changes))


def staged(root: Path, records: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    """Rows after reading and opening images, as preparing has them."""
    Image.new("RGB", SIZE, "grey").save(root / "a.png")
    path = root / ("f.csv" if changes.get("format") == "table" else "f.json")
    write_records(path, records)
    files = pa.table({"subset": ["s"], "role": ["pool"], "file": ["f"], "path": [str(path)]})
    sources = {"s": source(root, **changes)}
    return finished_rows(root, files, sources)


def asked(**answer: Any) -> dict[str, Any]:
    return {"image": "a.png", "Question": "Where is the nodule?", **answer}


@pytest.mark.parametrize(
    "answer", [{"box": [50, 25, 100, 50]}, {"bbox": "50 25 100 50"}, {"bbox": [[50, 25, 100, 50]]}]
)
def test_a_published_box_is_stored_on_the_grid(tmp_path: Path, answer: dict[str, Any]) -> None:
    (row,) = staged(tmp_path, [asked(**answer)], box_form="corners_pixels")
    assert (row["reason"], row["answer"], row["answer_kind"]) == (None, "[250, 250, 500, 500]", "box")
    assert (row["options"], row["answer_index"], row["label"]) == ([], -1, "box")


def test_what_four_numbers_mean_is_not_guessed(tmp_path: Path) -> None:
    (row,) = staged(tmp_path, [asked(box=[50, 25, 100, 50])])
    assert row["reason"] == "box_unusable"
    assert "box_form" in row["detail"]


def test_a_mask_becomes_its_outer_box(tmp_path: Path) -> None:
    mask = Image.new("L", SIZE, 0)
    ImageDraw.Draw(mask).ellipse((50, 25, 99, 49), fill=255)
    mask.save(tmp_path / "m.png")
    (row,) = staged(tmp_path, [asked(mask="m.png")])
    assert (row["reason"], row["answer"]) == (None, "[250, 250, 500, 500]")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"box": [50, 25, 100]}, "malformed_row"),
        ({"box": [[1, 2, 3, 4], [5, 6, 7, 8]]}, "malformed_row"),
        ({"box": "left"}, "malformed_row"),
        ({"box": [True, 0, 1, 1]}, "malformed_row"),
        ({"box": "[" * 100_000}, "malformed_row"),
        ({"box": [10**400, 1, 2, 3]}, "malformed_row"),
        ({"box": [1, 2, 3, 4], "mask": "m.png"}, "malformed_row"),
        ({"mask": 3}, "malformed_row"),
        ({"box": [100, 25, 50, 50]}, "box_unusable"),
        ({"box": [50, 25, 100, 500]}, "box_unusable"),
        ({"mask": "none.png"}, "missing_image"),
        ({"mask": "../m.png"}, "path_outside_root"),
        ({"mask": "f.json"}, "image_format"),
        ({"mask": "empty.png"}, "box_unusable"),
        ({"mask": "small.png"}, "box_unusable"),
    ],
)
def test_what_is_no_box_is_set_aside(tmp_path: Path, answer: dict[str, Any], reason: str) -> None:
    Image.new("L", SIZE, 0).save(tmp_path / "empty.png")
    Image.new("L", (20, 10), 255).save(tmp_path / "small.png")
    (row,) = staged(tmp_path, [asked(**answer)], box_form="corners_pixels")
    assert row["reason"] == reason


def test_a_box_lies_in_one_image(tmp_path: Path) -> None:
    Image.new("RGB", SIZE, "red").save(tmp_path / "b.png")
    record = asked(box=[50, 25, 100, 50]) | {"image": ["a.png", "b.png"]}
    (row,) = staged(tmp_path, [record], box_form="corners_pixels")
    assert row["reason"] == "image_count_mismatch"


def test_answers_of_a_conversation_are_boxes_where_the_catalog_says_so(tmp_path: Path) -> None:
    records = [llava_record(0, "a.png", 0) for _ in range(3)]
    for record, answer in zip(records, ["[0.25, 0.25, 0.5, 0.5]", "upper left", "A"], strict=True):
        record["conversations"][0]["value"] = "<image>\nWhere is the nodule?"
        record["conversations"][1]["value"] = answer
    records[2] = llava_record(0, "a.png", 0)
    rows = staged(tmp_path, records, format="llava", answer_kind="box", box_form="corners_fractions")
    assert [row["reason"] for row in rows] == [None, "box_unusable", "not_selected"]
    assert rows[0]["answer"] == "[250, 250, 500, 500]"


def test_a_table_holds_boxes_beside_letters(tmp_path: Path) -> None:
    letters = {"image": "a.png", "question": "Which?", "A": "x", "B": "y", "answer": "A", "bbox": ""}
    boxes = {"image": "a.png", "question": "Where?", "A": "", "B": "", "answer": "", "bbox": "[50, 25, 50, 25]"}
    rows = staged(tmp_path, [letters, boxes], format="table", box_form="size_pixels")
    assert [(row["answer_kind"], row["answer"]) for row in rows] == [("closed", "x"), ("box", "[250, 250, 500, 500]")]


def test_readers_keep_what_was_published(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text(
        json.dumps([asked(box=[1.5, 2, 3, 4]), asked(mask="m.png"), asked(box=[1, 2, 3, 4]) | {"Question": ""}])
    )
    box, mask, unasked = get_reader("med_mat")(path, subset="s")
    assert isinstance(box, RawSample)
    assert (box.box, box.mask_path, box.answer) == ((1.5, 2.0, 3.0, 4.0), None, "")
    assert isinstance(mask, RawSample)
    assert (mask.box, mask.mask_path) == (None, "m.png")
    assert isinstance(unasked, QuarantinedRow)
