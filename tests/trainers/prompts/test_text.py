"""Words in, letters out: the parser never guesses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.prompts.text import (
    LETTER_INSTRUCTION,
    LETTERS,
    chat_messages,
    parse_letter,
    render_prompt,
)


@pytest.mark.parametrize(
    "text", ["B", " B \n", "(B)", "B.", "B:", "B)", "(B).", "(B):", "B: a mass", "B. a mass", "B) a mass", "(B) a mass"]
)
def test_a_letter_that_stands_alone_or_before_its_text_counts(text: str) -> None:
    assert parse_letter(text, 3) == 1


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "b", "1", "(B", "((B))", "B or C", "BC", "B C", "B,C", "B: C"[:0], "Answer: B", "The answer is B",
        "I think (B)", "Brain", "B-cell", "B's", "None", "B:mass", "Ｂ", "Β", "(A)(B)", "\\boxed{B}", "**B**",
    ],
)  # fmt: skip
def test_everything_else_is_no_answer(text: str) -> None:
    assert parse_letter(text, 26) is None


@given(st.sampled_from(LETTERS), st.integers(2, 26))
def test_letters_beyond_the_options_are_no_answer(letter: str, num_options: int) -> None:
    index = LETTERS.index(letter)
    expected = index if index < num_options else None
    for text in (letter, f"({letter})", f"{letter}. text"):
        assert parse_letter(text, num_options) == expected


@given(st.text(max_size=12), st.integers(0, 26))
def test_any_text_gives_an_option_or_nothing(text: str, num_options: int) -> None:
    found = parse_letter(text, num_options)
    assert found is None or 0 <= found < num_options
    if found is not None:
        assert text.strip().lstrip("(").startswith(LETTERS[found])


def test_a_prompt_lists_the_options_and_how_to_answer() -> None:
    prompt = render_prompt("Where ?", ["left", "right"])
    assert prompt.splitlines() == ["Where ?", "A: left", "B: right", LETTER_INSTRUCTION]
    assert render_prompt("Where ?", []) == "Where ?"


def test_a_message_holds_every_image_before_the_text() -> None:
    ((turn),) = chat_messages("Where ?", 3)
    assert turn["role"] == "user"
    assert [part["type"] for part in turn["content"]] == ["image", "image", "image", "text"]
    assert turn["content"][-1]["text"] == "Where ?"
