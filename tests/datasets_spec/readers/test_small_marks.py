"""Options marked "a)" or "1.", as people type them: taken where the answer says so, else left or set aside."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.readers import get_reader
from datasets_spec.readers.choices import gold_option, split_options
from datasets_spec.readers.option_marks import with_capital_marks
from datasets_spec.readers.records import RowError
from datasets_spec.sample import Flag, QuarantinedRow, RawSample
from tests.makers.corpus import write_json
from tests.makers.formats import llava_record, write_records

OPTIONS = st.lists(
    st.lists(st.sampled_from(["mild", "left", "effusion", "of", "lung", "mm"]), min_size=2).map(" ".join),
    min_size=2,
    max_size=12,
    unique=True,
)
CLOSINGS = ("", "\nAnswer with the option letter only.", "\nPlease choose one of the choices given.")


def taken(text: str, answer: str) -> tuple[str, tuple[str, ...], str]:
    text, answer = with_capital_marks(text, answer)
    choice = split_options(text)
    return choice.question, choice.options, choice.options[gold_option(choice, answer)[0]]


@given(
    options=OPTIONS,
    kind=st.sampled_from("a1"),
    style=st.sampled_from([("", ") "), ("", ". "), ("", ": "), ("(", ") ")]),
    layout=st.sampled_from(["lines", "one line", "question's line"]),
    closing=st.sampled_from(CLOSINGS),
    answer=st.sampled_from(["{mark}", "({mark})", "{mark}.", "{mark}) {text}", "{text}"]),
    data=st.data(),
)
def test_what_is_written_is_read_back(
    options: list[str], kind: str, style: tuple[str, str], layout: str, closing: str, answer: str, data: st.DataObject
) -> None:
    if layout != "lines" and style[1] != ") ":
        layout = "lines"  # "a. " within a line is no mark
    gold = data.draw(st.integers(0, len(options) - 1))
    marks = [chr(97 + number) if kind == "a" else str(number + 1) for number in range(len(options))]
    marked = [f"{style[0]}{mark}{style[1]}{text}" for mark, text in zip(marks, options, strict=True)]
    listed = (
        "\n".join(["", *marked]) if layout == "lines" else ("\n" if layout == "one line" else " ") + ", ".join(marked)
    )
    found = taken(f"Is it round?{listed}{closing}", answer.format(mark=marks[gold], text=options[gold]))
    assert found == ("Is it round?", tuple(options), options[gold])


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Describe:\n1. the size\n2. the place", "A large mass on the left."),
        ("Is there (a) a mass and (b) an effusion?", "Both."),
        ("How many nodules? Ignore those of 2. or 3. order", "3"),
        ("Which vitamin, a. or b. is it", "A vitamin."),
        ("Is it round?\nA: yes\nB: no", "A"),
        ("What is seen?", "a mass"),
    ],
)
def test_what_may_be_something_else_stays_as_it_is(question: str, answer: str) -> None:
    assert with_capital_marks(question, answer) == (question, answer)


@pytest.mark.parametrize(
    ("question", "answer", "detail"),
    [
        ("Which?\na) one\nc) two", "c", "its list is not whole"),
        ("Which?\n2. one\n3. two", "2", "its list is not whole"),
        ("Which?\na) one\nb) two\nand more of it", "a", "its list is not whole"),
        ("Which?\na) one\nb. two", "a", "its list is not whole"),
        ("How many?\n1. 2\n2. 1", "2", "it is one option's mark and another's text"),
    ],
)
def test_what_is_ambiguous_is_set_aside(question: str, answer: str, detail: str) -> None:
    with pytest.raises(RowError) as caught:
        with_capital_marks(question, answer)
    assert detail in caught.value.detail


def test_a_mark_with_another_options_text_is_flagged() -> None:
    text, answer = with_capital_marks("Is it?\na) yes\nb) no", "a) no")
    index, flags = gold_option(split_options(text), answer)
    assert (index, flags) == (0, (Flag.gold_text_contradicts_option.value,))


@pytest.mark.parametrize("name", ["llava", "med_mat", "table"])
def test_every_format_reads_them(name: str, tmp_path: Path) -> None:
    asked = "Is it round?\na) yes\nb) no"
    path = tmp_path / ("f.csv" if name == "table" else "f.json")
    if name == "llava":
        turns = [{"from": "human", "value": f"<image>\n{asked}"}, {"from": "gpt", "value": "b"}]
        write_json(path, [{**llava_record(0, "1.png", 0), "conversations": turns}])
    elif name == "med_mat":
        write_json(path, [{"image": "1.png", "Question-choice": asked, "Answer-choice": "b"}])
    else:
        write_records(path, [{"image": "1.png", "question": asked, "answer": "b"}])
    (row,) = get_reader(name)(path, subset="s")
    assert isinstance(row, RawSample), row
    assert (row.question, row.options, row.answer_index) == ("Is it round?", ("yes", "no"), 1)


def test_a_broken_list_is_set_aside_by_the_reader(tmp_path: Path) -> None:
    write_records(tmp_path / "f.csv", [{"image": "1.png", "question": "Which?\n1. x\n3. y", "answer": "3"}])
    (row,) = get_reader("table")(tmp_path / "f.csv", subset="s")
    assert isinstance(row, QuarantinedRow)
    assert row.reason.value == "options_not_found"
