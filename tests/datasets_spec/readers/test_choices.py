"""Closed questions in the forms that instruction data have them: what a writer of such forms writes is read back."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_spec.readers import get_reader
from datasets_spec.readers.choices import TakenApart, gold_option, require_open, split_options
from datasets_spec.readers.records import RowError
from datasets_spec.sample import Flag, QuarantinedRow, QuarantineReason, RawSample
from tests.makers.corpus import write_json
from tests.makers.formats import llava_record, write_records

CLOSINGS = (
    "Answer with the option's letter from the given choices directly.",
    "Answer with the option letter only.",
    "Please select the correct answer from the options above.",
    "Please answer with A, B, C or D.",
    "Choose the best option",
    "Only output the letter of the correct answer.",
    "Respond with a single letter.",
    "please choose one of the choices given.",
    "Do not explain your reasoning.",
    "Answer:",
)
STYLES = (("(", ") "), ("", ") "), ("", ". "), ("", ": "), ("(", ")"))
LAYOUTS = ("lines", "spaced lines", "two lines each", "own line", "question's line", "two a line")
WORDS = st.lists(st.sampled_from(["mild", "left", "effusion", "T2-weighted", "of", "lung", "5", "mm"]), min_size=2)
OPTIONS = st.lists(WORDS.map(" ".join), min_size=2, max_size=6, unique=True)


def written(question: str, options: list[str], style: tuple[str, str], layout: str) -> str:
    marks = [f"{style[0]}{chr(65 + number)}{style[1]}" for number in range(len(options))]
    marked = [mark + text for mark, text in zip(marks, options, strict=True)]
    if layout == "two lines each":
        first, second = zip(*(text.split(" ", 1) for text in options), strict=True)
        lines = [f"{mark}{one}\n{two}" for mark, one, two in zip(marks, first, second, strict=True)]
        return "\n".join([question, *lines])
    if layout == "own line":
        return f"{question}\n{' '.join(marked)}"
    if layout == "question's line":
        return f"{question} {', '.join(marked)}"
    if layout == "two a line":
        return "\n".join([question, *(" ".join(marked[at : at + 2]) for at in range(0, len(marked), 2))])
    return question + ("\n\n" if layout == "spaced lines" else "\n") + "\n".join(marked)


@given(
    question=WORDS.map(lambda words: f"Is it {' '.join(words)}?"),
    options=OPTIONS,
    style=st.sampled_from(STYLES),
    layout=st.sampled_from(LAYOUTS),
    closings=st.lists(st.sampled_from(CLOSINGS), max_size=2, unique=True),
    answer=st.sampled_from(["{letter}", "({letter})", "{letter}. {text}", "{text}"]),
    gold=st.integers(0, 5),
)
@settings(max_examples=400, derandomize=True)
def test_what_is_written_in_the_usual_forms_is_read_back(
    question: str,
    options: list[str],
    style: tuple[str, str],
    layout: str,
    closings: list[str],
    answer: str,
    gold: int,
) -> None:
    gold %= len(options)
    choice = split_options("\n".join([written(question, options, style, layout), *closings]))
    assert (choice.question, choice.options) == (question, tuple(options))
    named = answer.format(letter=chr(65 + gold), text=options[gold])
    assert gold_option(choice, named)[0] == gold


@pytest.mark.parametrize("closing", [text for text in CLOSINGS if text[0] in "APCR" and text != "Answer:"])
def test_a_closing_sentence_may_follow_on_the_last_option_s_line(closing: str) -> None:
    assert split_options(f"Is it round?\nA: yes\nB: no {closing}").options == ("yes", "no")
    assert split_options(f"Is it round? (A) yes (B) no. {closing}").options == ("yes", "no")


@pytest.mark.parametrize(
    "question",
    [
        "What lies between (A) and (B)?",
        "Which is larger, (A) or (B)?",
        "Which hepatitis is it?",
        "Select the best answer for what is seen.",
        "A. fumigatus grows here.\nWhat is its shape?",
        "A: axial\nB: coronal\nWhich organ is shown?",
        "Describe the option that you see",
        "A: axial\nB: coronal\nwhich plane is it?",
    ],
)
def test_an_open_question_stays_as_it_is(question: str) -> None:
    choice = split_options(question)
    assert (choice.question, choice.options) == (question, ())


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (
            "Which?\nA: stage (B) disease\nB: hepatitis C. virus\nC: neither",
            ("stage (B) disease", "hepatitis C. virus"),
        ),
        ("Which?\nA: Answer one\nB: Please", ("Answer one", "Please")),
        ("Which?\nA: hepatitis A\nB: hepatitis B. or C: both", ("hepatitis A", "hepatitis B. or C: both")),
        ("Which? (A) yes, (B) no, or (C) unclear", ("yes", "no")),
        ("Options: A: yes B: no", ("yes", "no")),
        ("Seen is (A) here? (A) yes\n(B) no", ("yes", "no")),
    ],
)
def test_letters_inside_an_option_do_not_divide_it(text: str, options: tuple[str, ...]) -> None:
    assert split_options(text).options[:2] == options


@pytest.mark.parametrize("answer", ["A", " (b) ", "C.", "[D]", "The answer is B.", "Option A", "x"])
@pytest.mark.parametrize("format_name", ["llava", "table", "med_mat"])
def test_a_letter_without_options_is_set_aside(answer: str, format_name: str, tmp_path: Path) -> None:
    asked = "Which side is it, of the two?"
    if format_name == "llava":
        record = llava_record(0, "a.png", 0)
        turns = [{"from": "human", "value": f"<image>{asked}"}, {"from": "gpt", "value": answer}]
        record["conversations"] = turns
    elif format_name == "table":
        record = {"image": "a.png", "question": asked, "answer": answer}
    else:
        record = {"image": "a.png", "Question": asked, "Answer": answer}
    write_json(tmp_path / "f.json", [record])
    (row,) = get_reader(format_name)(tmp_path / "f.json", subset="s")
    assert isinstance(row, QuarantinedRow)
    assert row.reason == QuarantineReason.options_not_found


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("Is the lesion (A) benign (B) malignant", "benign"),
        ("Is it?\n(a) round\n(b) square\nThink about it first.", "square"),
        ("Is it?\nA: round\nB: square\nThink about it first.", "B: square"),
        ("Is it round? Answer with the option letter only.", "round"),
    ],
)
def test_an_option_that_was_not_found_is_no_open_answer(asked: str, answer: str, tmp_path: Path) -> None:
    write_json(tmp_path / "f.json", [{"image": "a.png", "question": asked, "answer": answer}])
    (row,) = get_reader("table")(tmp_path / "f.json", subset="s")
    assert isinstance(row, QuarantinedRow)
    assert row.reason == QuarantineReason.options_not_found


@pytest.mark.parametrize("piece", [" answer option", "\n", " ", "(A) ", "A: x\n", "Please choose ", ", or B) "])
def test_a_damaged_record_costs_no_minutes(piece: str) -> None:
    text = "What? " + piece * (60_000 // len(piece)) + "end"
    before = time.process_time()
    with contextlib.suppress(RowError):
        require_open(split_options(text).question, "end")
    # A quadratic pattern takes minutes of processor time for this; linear ones some hundredths of a second.
    assert time.process_time() - before < 30


def test_letters_that_do_not_begin_at_a_are_set_aside() -> None:
    with pytest.raises(RowError, match="ascend"):
        split_options("Is it round?\nB: yes\nC: no")


def test_a_table_without_option_columns_has_its_options_in_the_question(tmp_path: Path) -> None:
    record = {"image": "a.png", "question": "Is it round? A. yes B. no\nChoose the best option.", "answer": "B"}
    write_records(tmp_path / "f.csv", [record])
    (row,) = get_reader("table")(tmp_path / "f.csv", subset="s")
    assert isinstance(row, RawSample)
    assert (row.question, row.options, row.answer) == ("Is it round?", ("yes", "no"), "no")


SPECIES = ("E. coli", "S. aureus", "K. pneumoniae", "C. albicans", "B. fragilis")


def lettered(*options: str) -> TakenApart:
    return TakenApart(question="Which?", letters=tuple("ABCDE"[: len(options)]), options=options)


@pytest.mark.parametrize("gold", range(len(SPECIES)))
@pytest.mark.parametrize("form", ["{text}", "{letter}", "{letter}. {text}", "({letter}) {text}"])
def test_an_option_that_begins_like_a_letter_is_itself(gold: int, form: str) -> None:
    for options in (SPECIES, SPECIES[::-1]):
        answer = form.format(letter="ABCDE"[gold], text=options[gold])
        index, flags = gold_option(lettered(*options), answer)
        assert index == gold
        assert Flag.gold_text_contradicts_option.value not in flags


def test_a_letter_that_is_another_options_text_is_set_aside() -> None:
    with pytest.raises(RowError, match="another's text") as caught:
        gold_option(lettered("B", "A", "C"), "A")
    assert caught.value.reason == QuarantineReason.answer_not_in_options
    assert gold_option(lettered("A", "B", "C"), "B") == (1, ())
    assert gold_option(lettered("B", "A", "C"), "A: B") == (0, ())


def test_an_accent_may_be_spelt_in_two_ways() -> None:
    composed, decomposed = "Ménière", "Me\u0301nie\u0300re"
    assert composed != decomposed
    assert gold_option(lettered("none", composed), decomposed)[0] == 1
    with pytest.raises(RowError) as caught:
        gold_option(lettered(composed, decomposed), "A")
    assert caught.value.reason == QuarantineReason.too_few_options


def test_a_column_for_the_letter_holds_a_letter(tmp_path: Path) -> None:
    record = {"image": "a.png", "question": "Which density?", "A": "B", "B": "A", "answer": "A", "answer_label": "B"}
    write_records(tmp_path / "f.csv", [record])
    (row,) = get_reader("table")(tmp_path / "f.csv", subset="s")
    assert isinstance(row, RawSample)
    assert (row.answer_index, row.answer) == (1, "A")
