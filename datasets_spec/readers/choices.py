"""Options at the end of a question, and which of them the answer names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from datasets_spec.readers.instructions import without_closing_lines
from datasets_spec.readers.option_marks import (
    ends_in_an_option,
    names_a_letter,
    names_an_option,
    options_by_line,
    options_on_one_line,
)
from datasets_spec.readers.records import RowError
from datasets_spec.sample import (
    MAX_OPTIONS,
    MIN_OPTIONS,
    Flag,
    QuarantineReason,
    option_groups,
    option_text_key,
)

_ANSWER = re.compile(r"\s*\(?([A-Z]{1,2})\)?\s*(?:[:.)]\s*(.*))?\Z", re.DOTALL)
_IMAGE_TAG = re.compile(r"<image>")


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenApart:
    """A question taken apart.

    Args:
        question: Text before the options.
        letters: Published letters of the options; A, B, D happens.
        options: Their texts, without outer whitespace; empty for an open question.
    """

    question: str
    letters: tuple[str, ...]
    options: tuple[str, ...]


def count_image_tags(text: str) -> int:
    """Returns how many images a text refers to.

    Args:
        text: Question as published.
    """
    return len(_IMAGE_TAG.findall(text))


def without_image_tags(text: str) -> tuple[str, tuple[str, ...]]:
    """Removes image tags.

    Args:
        text: Question as published.

    Returns:
        The text, and a flag if a tag stood anywhere but at the start (its place is then lost).
    """
    rest = text.lstrip()
    while rest.startswith("<image>"):
        rest = rest[len("<image>") :].lstrip()
    inside = (Flag.image_tag_inside_text.value,) if _IMAGE_TAG.search(rest) else ()
    return _IMAGE_TAG.sub(" ", rest).strip() if inside else rest, inside


def split_options(text: str) -> TakenApart:
    """Separates a question from the options that end it, and from up to two closing lines after them.

    Args:
        text: Question with its options, without image tags.

    Returns:
        The parts; without options at the end, everything is question.

    Raises:
        RowError: The options do not start at A, do not ascend, or are too many; or options are asked for and there are
            none.
    """
    shortened, asks_for_options = without_closing_lines(text)
    question, found = options_by_line(shortened)
    if not found:
        question, found = options_on_one_line(shortened)
    if not found and ends_in_an_option(shortened):
        raise RowError(QuarantineReason.malformed_row, "option letters do not ascend from A")
    if not found and asks_for_options:
        raise RowError(QuarantineReason.options_not_found, "an option is asked for")
    if not found:
        return TakenApart(question=text.strip(), letters=(), options=())
    ranks = [_rank(option.letter) for option in found]
    if any(a >= b for a, b in pairwise(ranks)):
        raise RowError(QuarantineReason.malformed_row, "option letters do not ascend from A")
    if len(found) > MAX_OPTIONS:
        raise RowError(QuarantineReason.too_many_options, f"{len(found)} options")
    return TakenApart(
        question=question,
        letters=tuple(option.letter for option in found),
        options=tuple(option.text for option in found),
    )


def require_open(question: str, answer: str) -> None:
    """Refuses to take a closed question whose options were not found for an open one.

    Args:
        question: The question as it would be stored.
        answer: Its answer as published.

    Raises:
        RowError: The answer is an option's letter, or repeats what the question lists behind one.
    """
    if names_a_letter(answer):
        raise RowError(QuarantineReason.options_not_found, "the answer is a letter")
    if names_an_option(question, answer):
        raise RowError(QuarantineReason.options_not_found, "the answer repeats one")


def _rank(letter: str) -> int:
    return ord(letter) - 65 if len(letter) == 1 else 26 * (ord(letter[0]) - 64) + ord(letter[1]) - 65


def gold_option(choice: TakenApart, answer: str) -> tuple[int, tuple[str, ...]]:
    """Finds the gold option: by its letter, or by its text.

    Where the text after the letter contradicts the option (two records of Med-MIM's RAD file), the letter decides and
    the row is flagged, unless letter and text together are another option's text, as "B. fragilis".

    Args:
        choice: A closed question.
        answer: The answer as published.

    Returns:
        Index of the gold option, and flags.

    Raises:
        RowError: Options are too few or empty, or the answer names none of them, or one by its letter and another by
            its text.
    """
    groups = option_groups(choice.options)
    if not all(choice.options):
        raise RowError(QuarantineReason.malformed_row, "an option without text")
    if len(set(groups)) < MIN_OPTIONS:
        raise RowError(QuarantineReason.too_few_options, f"{len(set(groups))} distinct options")
    if not answer.strip():
        raise RowError(QuarantineReason.empty_answer)
    index, flags = _named_option(choice, answer)
    if len(set(groups)) < len(groups):
        flags.append(Flag.duplicate_options)
    if groups.count(groups[index]) > 1:
        flags.append(Flag.duplicate_gold_option)
    if [_rank(letter) for letter in choice.letters] != list(range(len(choice.letters))):
        flags.append(Flag.skipped_letter)
    return index, tuple(flag.value for flag in flags)


def _named_option(choice: TakenApart, answer: str) -> tuple[int, list[Flag]]:
    keys, whole = [option_text_key(option) for option in choice.options], option_text_key(answer)
    match = _ANSWER.match(answer)
    marked = choice.letters.index(match[1]) if match and match[1] in choice.letters else None
    said = option_text_key(match[2] or "") if match else ""
    if marked is not None and keys[marked] in (said, whole):
        return marked, []
    if whole in keys:  # "C. albicans" is a species, not option C
        if marked is not None and not said:
            raise RowError(QuarantineReason.answer_not_in_options, "it is one option's letter and another's text")
        return keys.index(whole), [Flag.gold_without_letter]
    if marked is None:
        raise RowError(QuarantineReason.answer_not_in_options)
    return marked, [Flag.gold_text_contradicts_option] if said else []
