from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_spec.errors import ReaderError, UserError
from datasets_spec.readers import get_reader
from datasets_spec.sample import QuarantinedRow, QuarantineReason, RawSample
from tests.makers.corpus import INSTRUCTION, mat_record, write_json

TWENTY_SEVEN = "q\n" + "\n".join(f"{letters}: {letters}" for letters in [*map(chr, range(65, 91)), "AA"])


def read(path: Path, records: Any) -> list[RawSample | QuarantinedRow]:
    write_json(path, records)
    return list(get_reader("med_mat")(path, subset="s"))


def one(path: Path, record: Any) -> RawSample:
    (row,) = read(path, [record])
    assert isinstance(row, RawSample), row
    return row


def reason(path: Path, record: Any) -> QuarantineReason:
    (row,) = read(path, [record])
    assert isinstance(row, QuarantinedRow), row
    assert (row.subset, row.file, row.index) == ("s", path.name, 0)
    return row.reason


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Subset--01-train.json"


def test_a_published_record_becomes_a_sample(path: Path) -> None:
    sample = one(path, mat_record(0, "med-mat/a b/Cyst- (561).jpg", 1))
    assert sample == RawSample(
        index=0,
        question="Which shape is drawn here?",
        options=("round", "square", "cross"),
        answer_index=1,
        answer="square",
        answer_kind="closed",
        label="square",
        image_paths=("med-mat/a b/Cyst- (561).jpg",),
        source="7",
    )


@pytest.mark.parametrize("mark", [": ", ". ", ":", ") "])
def test_the_paper_s_option_marks_are_read_like_the_files(path: Path, mark: str) -> None:
    record = mat_record(0, "a.png", 2)
    text = f"Which?\nA{mark}x\n\nB{mark}y \nC{mark}z\n{INSTRUCTION}  \n"
    sample = one(path, record | {"Question-choice": text, "Answer-choice": " C "})
    assert sample.options == ("x", "y", "z")
    assert (sample.question, sample.answer) == ("Which?", "z")


def test_a_question_that_looks_like_an_option_stays_a_question(path: Path) -> None:
    text = "C. elegans, seen here.\nT: what is it?\nA: worm\nB: fly"
    sample = one(path, mat_record(0, "a.png", 0) | {"Question-choice": text})
    assert sample.question == "C. elegans, seen here.\nT: what is it?"
    assert sample.options == ("worm", "fly")


@pytest.mark.parametrize("answer", ["B", "B: square", "(B)", "B.", "square", "B:  Square "])
def test_answers_are_found_by_letter_or_by_text(path: Path, answer: str) -> None:
    sample = one(path, mat_record(0, "a.png", 1) | {"Answer-choice": answer})
    assert sample.answer_index == 1
    assert ("gold_without_letter" in sample.flags) == (answer == "square")


def test_without_choices_a_record_is_an_open_question(path: Path) -> None:
    record = mat_record(0, "a.png", 1)
    del record["Question-choice"], record["Answer-choice"]
    sample = one(path, record)
    assert (sample.answer_kind, sample.answer_index, sample.options) == ("open", -1, ())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"image": None}, "malformed_row"),
        ({"image": []}, "image_count_mismatch"),
        ({"image": [1]}, "malformed_row"),
        ({"Question-choice": 5}, "malformed_row"),
        ({"Question-choice": "A: x\nB: y"}, "empty_question"),
        ({"Question-choice": "no options here"}, "too_few_options"),
        ({"Question-choice": "q\nA: x"}, "too_few_options"),
        ({"Question-choice": "q\nA: same\nB: Same "}, "too_few_options"),
        ({"Question-choice": "q\nA: x\nB: "}, "malformed_row"),
        ({"Question-choice": "q\nA: x\nB: y\nWhat"}, "too_few_options"),
        ({"Question-choice": "q\nA: x\nB: y\nB: z"}, "malformed_row"),
        (
            {"Question-choice": "q\n" + "\n".join(f"{x}: {x}" for x in [*map(chr, range(65, 91)), "AA"])},
            "too_many_options",
        ),
        ({"Answer-choice": "D"}, "answer_not_in_options"),
        ({"Answer-choice": "triangle"}, "answer_not_in_options"),
        ({"Answer-choice": " "}, "empty_answer"),
        ({"Answer-choice": 1}, "malformed_row"),
        ({"Question-choice": "\ud800\nA: x\nB: y"}, "malformed_row"),
        ({"image": "\udfff.png"}, "malformed_row"),
        ({"caption": "\ud800"}, "malformed_row"),
    ],
)
def test_unusable_records_are_set_aside_with_a_reason(path: Path, change: dict[str, Any], expected: str) -> None:
    assert reason(path, mat_record(0, "a.png", 0) | change) == expected


@pytest.mark.parametrize("record", [None, 3, "text", [1]])
def test_what_is_no_record_is_set_aside(path: Path, record: Any) -> None:
    assert reason(path, record) == "malformed_row"


def test_every_record_is_accounted_for(path: Path) -> None:
    records: list[Any] = [mat_record(i, f"{i}.png", i % 3) for i in range(6)]
    records[2] = None
    records[4]["Answer-choice"] = "Z"
    rows = read(path, records)
    assert [row.index for row in rows] == list(range(6))
    assert [isinstance(row, QuarantinedRow) for row in rows] == [False, False, True, False, True, False]


def test_details_hold_no_text_of_the_record(path: Path) -> None:
    record = mat_record(0, "secret.png", 0) | {"Question-choice": "secret\nA: secret\nB: other", "Answer-choice": "C"}
    (row,) = read(path, [record])
    assert isinstance(row, QuarantinedRow)
    assert "secret" not in row.detail


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1}', r"f.json:1:10: not a JSON array"),
        ('{"a": 1}\n{"a": 2}', "not a JSON array"),
        ("{}", "one JSON dict, not an array"),
        ("", "not a JSON array"),
        ("NaN", "one JSON value, not an array"),
        ("[" * 100_000, r"f.json:1:2: not a JSON array \(nested too deeply"),
    ],
)
def test_files_that_are_no_array_are_refused_by_name_and_position(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "f.json"
    file.write_text(text)
    with pytest.raises(ReaderError, match=message):
        list(get_reader("med_mat")(file, subset="s"))


def test_files_that_are_no_text_or_not_there_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_bytes(b'["\xff\xfe"]')
    with pytest.raises(ReaderError, match="not UTF-8"):
        list(get_reader("med_mat")(file, subset="s"))
    with pytest.raises(ReaderError, match="cannot read"):
        list(get_reader("med_mat")(tmp_path / "none.json", subset="s"))


def test_repeated_keys_are_set_aside_instead_of_guessed(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text('[{"image": "a.png", "image": "b.png"}]')
    (row,) = get_reader("med_mat")(file, subset="s")
    assert isinstance(row, QuarantinedRow)
    assert row.detail == "a key is written twice"


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'med_mat'"):
        get_reader("medmat")
