"""Med-MAT's files, aggregated or original: single-choice form in ``Question-choice`` and ``Answer-choice``.

Its detection and segmentation files are not published; a record of them is read as ``Question`` with ``box`` (or
``bbox``: four numbers, see a subset's ``box_form``) or ``mask`` (a path) in place of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets_spec.readers.choices import gold_option, require_open, split_options, without_image_tags
from datasets_spec.readers.files import rows_of
from datasets_spec.readers.instructions import without_instruction
from datasets_spec.readers.option_marks import with_capital_marks
from datasets_spec.readers.records import RowError, paths_of, require_text, text_of
from datasets_spec.readers.regions import region_of
from datasets_spec.sample import OPEN_ANSWER, QuarantinedRow, QuarantineReason, RawSample
from datasets_spec.storage.place import Place


def read_rows(path: Place, *, subset: str) -> Iterator[RawSample | QuarantinedRow]:
    """Yields every record of a Med-MAT file as a sample or a quarantined row, in order.

    Args:
        path: The file; JSON as published, or a table with the same columns.
        subset: Name of the subset it belongs to.

    Raises:
        ReaderError: The file cannot be read.
    """
    return rows_of(path, subset, _sample)


def _sample(index: int, record: dict[str, Any]) -> RawSample:
    paths = paths_of(record.get("image"))
    region = region_of(record)
    is_closed = region is None and "Question-choice" in record
    text = text_of(record, "Question-choice" if is_closed else "Question")
    answer = "" if region else text_of(record, "Answer-choice" if is_closed else "Answer")
    text, tag_flags = without_image_tags(without_instruction(text))
    source = record.get("data-no")
    caption = record.get("caption")
    require_text([item for item in (source, caption) if isinstance(item, str)])
    common: dict[str, Any] = {
        "index": index,
        "image_paths": paths,
        "source": None if source is None else str(source),
    }
    if region is not None:
        if not text:
            raise RowError(QuarantineReason.empty_question)
        return RawSample(**common, **region.columns, question=text, flags=tag_flags)
    if not is_closed:
        return _open_sample(common, text, answer.strip(), tag_flags)
    text, answer = with_capital_marks(text, answer)
    choice = split_options(text)
    if not choice.question:
        raise RowError(QuarantineReason.empty_question)
    if not choice.options:
        raise RowError(QuarantineReason.too_few_options, "0 options")
    gold, flags = gold_option(choice, answer)
    label = caption.strip() if isinstance(caption, str) else ""
    return RawSample(
        **common,
        question=choice.question,
        options=choice.options,
        answer_index=gold,
        answer=choice.options[gold],
        answer_kind="closed",
        label=label or choice.options[gold],
        flags=(*flags, *tag_flags),
    )


def _open_sample(common: dict[str, Any], question: str, answer: str, flags: tuple[str, ...]) -> RawSample:
    if not question:
        raise RowError(QuarantineReason.empty_question)
    if not answer:
        raise RowError(QuarantineReason.empty_answer)
    require_open(question, answer)
    return RawSample(
        **common,
        question=question,
        options=(),
        answer_index=OPEN_ANSWER,
        answer=answer,
        answer_kind="open",
        label="open",
        flags=flags,
    )
