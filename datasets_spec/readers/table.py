"""Tables with one question a row: ``image``, ``question``, ``answer`` and one column an option.

What labs keep in spreadsheets, and how PMC-VQA and others are published. Columns, whatever their case:

- ``image`` (also ``image_path``, ``figure_path``, ``file_name``), ``images`` or ``image_1``, ``image_2`` ...: paths;
- ``question``; ``answer``: a letter or an option's text; ``answer_label``: the letter, where both are given;
- ``A``, ``B`` ... or ``option_a``, ``choice a`` ...: options, empty where a question has fewer; without any, those
  at the end of the question count, and without these it is open;
- ``box`` (also ``bbox``: four numbers, see a subset's ``box_form``) or ``mask`` (a path) in place of an answer;
- ``label`` (also ``caption``), ``group`` (also ``patient``, ``patient_id``, ``study``, ``study_id``), ``source``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from datasets_spec.readers.choices import (
    TakenApart,
    gold_option,
    require_open,
    split_options,
    without_image_tags,
)
from datasets_spec.readers.files import rows_of
from datasets_spec.readers.instructions import without_closing_lines, without_instruction
from datasets_spec.readers.option_marks import with_capital_marks
from datasets_spec.readers.records import RowError, cells_of, first_cell, paths_of, require_text
from datasets_spec.readers.regions import region_of
from datasets_spec.sample import OPEN_ANSWER, Flag, QuarantinedRow, QuarantineReason, RawSample
from datasets_spec.storage.place import Place

_IMAGE_NAMES = ("image", "images", "image_path", "figure_path", "file_name")
_LABEL_NAMES = ("label", "caption")
_OPTION_COLUMN = re.compile(r"(?:option|choice)[ _-]?([a-z])\Z|([a-z])\Z")
_NUMBERED_IMAGE = re.compile(r"image_?(\d+)\Z")


def read_rows(path: Place, *, subset: str) -> Iterator[RawSample | QuarantinedRow]:
    """Yields every row of a table as a sample or a quarantined row, in order.

    Args:
        path: The table: CSV, TSV, Parquet, JSON lines or a JSON array.
        subset: Name of the subset it belongs to.

    Raises:
        ReaderError: The file cannot be read.
    """
    return rows_of(path, subset, _sample)


def _sample(index: int, record: dict[str, Any]) -> RawSample:
    cells = cells_of(record)
    paths = _paths(cells)
    text, flags = without_image_tags(without_instruction(_text(cells, "question")))
    if len(set(paths)) < len(paths):
        flags = (*flags, Flag.same_image_twice.value)
    if not text.strip():
        raise RowError(QuarantineReason.empty_question)
    common: dict[str, Any] = {
        "index": index,
        "image_paths": paths,
        "source": first_cell(cells, ("source",)),
    }
    region = region_of(cells)
    if region is not None:
        return RawSample(**common, **region.columns, question=text.strip(), flags=flags)
    if not any(_OPTION_COLUMN.match(name) for name in cells if cells[name]):
        text, cells["answer"] = with_capital_marks(text.strip(), _text(cells, "answer"))
    choice = _choice(cells, text.strip())
    answer = _text(cells, "answer_label" if choice.options and cells.get("answer_label") else "answer")
    if not answer.strip():
        raise RowError(QuarantineReason.empty_answer)
    gold = OPEN_ANSWER
    if choice.options:
        if cells.get("answer_label") and answer.strip() in choice.letters:
            answer = f"{answer.strip()}:"  # a letter, though it may be another option's text as well
        gold, gold_flags = gold_option(choice, answer)
        flags = (*gold_flags, *flags)
        answer = choice.options[gold]
    else:
        require_open(choice.question, answer)
    default_label = answer.strip() if choice.options else "open"
    return RawSample(
        **common,
        question=choice.question,
        options=choice.options,
        answer_index=gold,
        answer=answer.strip(),
        answer_kind="closed" if choice.options else "open",
        label=first_cell(cells, _LABEL_NAMES) or default_label,
        flags=flags,
    )


def _text(cells: dict[str, Any], name: str) -> str:
    value = cells.get(name)
    if not isinstance(value, str):
        raise RowError(QuarantineReason.malformed_row, f"'{name}' is not text")
    require_text([value])
    return value


def _paths(cells: dict[str, Any]) -> tuple[str, ...]:
    for name in _IMAGE_NAMES:
        if cells.get(name):
            return paths_of(cells[name])
    numbered = sorted((int(match[1]), name) for name in cells if (match := _NUMBERED_IMAGE.match(name)))
    return paths_of([cells[name] for _, name in numbered if cells[name]])


def _choice(cells: dict[str, Any], question: str) -> TakenApart:
    columns: dict[str, str] = {}
    for name in cells:
        match = _OPTION_COLUMN.match(name)
        if match:
            columns[(match[1] or match[2]).upper()] = name
    options = {letter: _text(cells, columns[letter]).strip() for letter in sorted(columns) if cells[columns[letter]]}
    given = {letter: text for letter, text in options.items() if text}
    if not given:
        return split_options(question)
    question, _ = without_closing_lines(question)
    return TakenApart(question=question, letters=tuple(given), options=tuple(given.values()))
