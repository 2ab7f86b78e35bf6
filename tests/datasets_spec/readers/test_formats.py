"""What is particular to the formats beside Med-MAT's and Med-MIM's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_spec.readers import get_reader
from datasets_spec.sample import QuarantinedRow, RawSample
from tests.makers.corpus import write_json
from tests.makers.formats import (
    llava_record,
    messages_record,
    sharegpt_record,
    table_record,
    write_records,
)

SYSTEM = {"from": "system", "value": "You are a radiologist."}


def one(path: Path, name: str, record: dict[str, Any]) -> RawSample | QuarantinedRow:
    write_json(path, [record])
    (row,) = get_reader(name)(path, subset="s")
    return row


def test_several_questions_in_one_record_are_not_guessed_apart(tmp_path: Path) -> None:
    record = llava_record(0, "a.png", 0)
    record["conversations"] = record["conversations"] * 2
    row = one(tmp_path / "f.json", "llava", record)
    assert isinstance(row, QuarantinedRow)
    assert row.detail == "4 turns; write one question a record"


def test_llava_takes_one_image_or_several(tmp_path: Path) -> None:
    record = llava_record(0, "a.png", 1) | {"image": ["a.png", "b.png"]}
    assert one(tmp_path / "f.json", "llava", record).index == 0
    row = one(tmp_path / "f.json", "llava", record)
    assert isinstance(row, QuarantinedRow)
    assert row.reason == "image_count_mismatch"
    record["conversations"][0]["value"] = "<image>\n" + record["conversations"][0]["value"]
    row = one(tmp_path / "f.json", "llava", record)
    assert isinstance(row, RawSample)
    assert row.image_paths == ("a.png", "b.png")


@pytest.mark.parametrize("mark", ["({}) ", "{}. ", "{}) "])
def test_the_usual_ways_to_mark_options_are_read(mark: str, tmp_path: Path) -> None:
    lines = "\n".join(mark.format(letter) + text for letter, text in (("A", "yes"), ("B", "no")))
    ask = "Answer with the option's letter from the given choices directly."
    record = llava_record(0, "a.png", 1)
    record["conversations"][0]["value"] = f"<image>\nIs it round?\n{lines}\n{ask}"
    row = one(tmp_path / "f.json", "llava", record)
    assert isinstance(row, RawSample)
    assert (row.question, row.options, row.answer) == ("Is it round?", ("yes", "no"), "no")


def test_a_system_prompt_is_dropped_and_flagged(tmp_path: Path) -> None:
    record = sharegpt_record(0, "a.png", 0)
    record["conversations"] = [SYSTEM, *record["conversations"]]
    row = one(tmp_path / "f.json", "sharegpt", record)
    assert isinstance(row, RawSample)
    assert row.flags == ("system_prompt_dropped",)
    assert "radiologist" not in row.question
    record = messages_record(0, "a.png", 0)
    record["messages"] = [{"role": "system", "content": "Be brief."}, *record["messages"]]
    row = one(tmp_path / "f.json", "hf_messages", record)
    assert isinstance(row, RawSample)
    assert row.flags == ("system_prompt_dropped",)


def test_a_video_is_no_image(tmp_path: Path) -> None:
    row = one(tmp_path / "f.json", "sharegpt", sharegpt_record(0, "a.png", 0) | {"videos": ["a.mp4"]})
    assert isinstance(row, QuarantinedRow)


@pytest.mark.parametrize(
    ("content", "images", "paths"),
    [
        ("<image>Is it round?", ["a.png"], ("a.png",)),
        ("Is it round?", ["a.png", "b.png"], ("a.png", "b.png")),
        ("Is it round?", [{"path": "a.png", "bytes": None}], ("a.png",)),
        ([{"type": "image", "path": "a.png"}, {"type": "text", "text": "Is it round?"}], None, ("a.png",)),
        ([{"type": "image", "image": "a.png"}, {"type": "text", "text": "Is it round?"}], ["a.png"], ("a.png",)),
        ([{"type": "image", "image": "a.png"}, {"type": "text", "text": "Is it round?"}], [], ("a.png",)),
        ("<image><image>Is it round?", ["a.png"], None),
        ([{"type": "image", "image": "b.png"}, {"type": "text", "text": "Is it round?"}], ["a.png"], None),
        ([{"type": "video"}, {"type": "text", "text": "Is it round?"}], ["a.png"], None),
        ([{"type": "text", "text": "Is it round?"}], [], None),
        ([{"type": "text", "text": 3}], ["a.png"], None),
    ],
)
def test_messages_come_as_text_or_in_parts(
    content: Any, images: Any, paths: tuple[str, ...] | None, tmp_path: Path
) -> None:
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "It is."}]
    row = one(tmp_path / "f.json", "hf_messages", {"messages": turns, "images": images})
    if paths is None:
        assert isinstance(row, QuarantinedRow)
    else:
        assert isinstance(row, RawSample)
        assert (row.image_paths, row.question, row.answer) == (paths, "Is it round?", "It is.")


def test_tables_of_pmc_vqa_s_shape_are_read(tmp_path: Path) -> None:
    record = {
        "Figure_path": "a.jpg", "Question": "Which plane?", "Answer": "axial", "Choice A": "coronal",
        "Choice B": "axial", "Choice C": "", "Answer_label": "B", "patient_id": "p7", "index": 3,
    }  # fmt: skip
    path = tmp_path / "f.csv"
    write_records(path, [record])
    (row,) = get_reader("table")(path, subset="s")
    assert isinstance(row, RawSample)
    assert (row.options, row.answer, row.group) == (("coronal", "axial"), "axial", "p7")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"A": "", "B": "", "C": ""}, "options_not_found"),
        ({"A": "", "B": "", "C": "", "answer": "round"}, None),
        ({"answer": "square"}, None),
        ({"image": "", "image_1": "a.png", "image_2": "b.png"}, None),
        ({"answer": "D"}, "answer_not_in_options"),
        ({"answer": ""}, "empty_answer"),
        ({"question": " "}, "empty_question"),
        ({"question": "<image>"}, "empty_question"),
        ({"image": ""}, "image_count_mismatch"),
        ({"B": "", "C": ""}, "too_few_options"),
        ({"Question": "again"}, "malformed_row"),
    ],
)
def test_rows_of_a_table(change: dict[str, str], reason: str | None, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    write_records(path, [table_record(0, "a.png", 0) | change])
    (row,) = get_reader("table")(path, subset="s")
    assert getattr(row, "reason", None) == reason


@pytest.mark.parametrize(
    "text",
    [
        "image,question,answer\na.png,q,xy,one too many\n",
        "image,question,answer\na.png\n",
    ],
)
def test_rows_of_the_wrong_length_are_set_aside(text: str, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(text + "a.png,q,xy\n")
    rows = list(get_reader("table")(path, subset="s"))
    assert [isinstance(row, RawSample) for row in rows] == [False, True]
