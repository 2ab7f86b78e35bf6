"""A question and its answer as two turns of a conversation: what Med-MIM, LLaVA, ShareGPT and chat files share."""

from __future__ import annotations

from typing import Any

from datasets_spec.readers.choices import (
    count_image_tags,
    gold_option,
    require_open,
    split_options,
    without_image_tags,
)
from datasets_spec.readers.instructions import without_instruction
from datasets_spec.readers.option_marks import with_capital_marks
from datasets_spec.readers.records import RowError, as_record, text_of
from datasets_spec.sample import OPEN_ANSWER, Flag, QuarantineReason, RawSample, option_text_key


def two_turns(turns: Any, *, role_key: str, text_key: str, roles: tuple[str, str]) -> tuple[str, str]:
    """Returns the texts of a question and its answer.

    Args:
        turns: The turns as published.
        role_key: Field of a turn that says who speaks.
        text_key: Field of a turn that says what.
        roles: Who asks and who answers.

    Raises:
        RowError: They are not exactly one question and one answer: which of several a score should count is unknown.
    """
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise RowError(QuarantineReason.malformed_row, "not a conversation of two turns")
    if len(turns) != 2:
        raise RowError(QuarantineReason.malformed_row, f"{len(turns)} turns; write one question a record")
    asks, answers = (as_record(turn) for turn in turns)
    if (asks.get(role_key), answers.get(role_key)) != roles:
        raise RowError(QuarantineReason.malformed_row, f"turns are not {roles[0]}, {roles[1]}")
    return text_of(asks, text_key), text_of(answers, text_key)


def sample_from(
    index: int,
    *,
    question: str,
    answer: str,
    paths: tuple[str, ...],
    source: str | None,
    needs_tags: bool = True,
    flags: tuple[str, ...] = (),
) -> RawSample:
    """Makes a sample of two turns; it is closed when the question ends in options.

    Args:
        index: 0-based position in the file.
        question: What is asked, with image tags, options and instruction.
        answer: The answer as published.
        paths: Image paths.
        source: Published name of the original data set.
        needs_tags: Whether every image must have its tag; else a question without any is accepted too.
        flags: Flags that the row has already.

    Raises:
        RowError: No sample can be made of it.
    """
    num_tags = count_image_tags(question)
    if num_tags != len(paths) and (needs_tags or num_tags):
        raise RowError(QuarantineReason.image_count_mismatch, f"{num_tags} tags, {len(paths)} images")
    text, tag_flags = without_image_tags(without_instruction(question))
    if len(set(paths)) < len(paths):
        tag_flags = (*tag_flags, Flag.same_image_twice.value)
    text, answer = with_capital_marks(text, answer)
    choice = split_options(text)
    if not choice.question:
        raise RowError(QuarantineReason.empty_question)
    if choice.options:
        gold, gold_flags = gold_option(choice, answer)
        flags = (*gold_flags, *flags)
        text, kind = choice.options[gold], "closed"
        label = option_text_key(text)
    elif not answer.strip():
        raise RowError(QuarantineReason.empty_answer)
    else:
        require_open(choice.question, answer)
        gold, text, label, kind = OPEN_ANSWER, answer.strip(), "open", "open"
    return RawSample(
        index=index,
        question=choice.question,
        options=choice.options,
        answer_index=gold,
        answer=text,
        answer_kind=kind,
        label=label,
        image_paths=paths,
        source=source,
        flags=(*flags, *tag_flags),
    )
