"""Med-MIM's files: one JSON array of two-turn conversations about one or more images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets_spec.readers.choices import count_image_tags, gold_option, split_options, without_image_tags
from datasets_spec.readers.records import RowError, as_record, load_records, paths_of, text_of
from datasets_spec.sample import (
    OPEN_ANSWER,
    Flag,
    QuarantinedRow,
    QuarantineReason,
    RawSample,
    option_text_key,
)


def read_rows(path: Path, *, subset: str) -> Iterator[RawSample | QuarantinedRow]:
    """Yields every record of a Med-MIM file as a sample or a quarantined row, in order.

    A record has no field for closed or open: it is closed when its question ends in option lines.

    Args:
        path: The JSON file.
        subset: Name of the subset it belongs to.

    Raises:
        ReaderError: The file is no JSON array.
    """
    for index, value in enumerate(load_records(path)):
        try:
            yield _sample(index, as_record(value))
        except RowError as error:
            yield error.quarantined(path, subset, index)


def _sample(index: int, record: dict[str, Any]) -> RawSample:
    paths = paths_of(record.get("images"))
    user, assistant = _turns(record)
    num_tags = count_image_tags(user)
    if num_tags != len(paths):
        raise RowError(QuarantineReason.image_count_mismatch, f"{num_tags} tags, {len(paths)} images")
    text, flags = without_image_tags(user)
    if len(set(paths)) < len(paths):
        flags = (*flags, Flag.same_image_twice.value)
    choice = split_options(text)
    if not choice.question:
        raise RowError(QuarantineReason.empty_question)
    source = text_of(record, "source") if record.get("source") is not None else None
    if not choice.options:
        if not assistant.strip():
            raise RowError(QuarantineReason.empty_answer)
        gold, answer, label, kind = OPEN_ANSWER, assistant.strip(), "open", "open"
    else:
        gold, gold_flags = gold_option(choice, assistant)
        flags = (*gold_flags, *flags)
        answer, kind = choice.options[gold], "closed"
        label = option_text_key(answer)
    return RawSample(
        index=index,
        question=choice.question,
        options=choice.options,
        answer_index=gold,
        answer=answer,
        answer_kind=kind,
        label=label,
        image_paths=paths,
        source=source,
        flags=flags,
    )


def _turns(record: dict[str, Any]) -> tuple[str, str]:
    turns = record.get("conversation")
    if not isinstance(turns, list) or len(turns) != 2 or not all(isinstance(turn, dict) for turn in turns):
        raise RowError(QuarantineReason.malformed_row, "not a conversation of two turns")
    user, assistant = (as_record(turn) for turn in turns)
    if (user.get("role"), assistant.get("role")) != ("user", "assistant"):
        raise RowError(QuarantineReason.malformed_row, "turns are not user, assistant")
    return text_of(user, "content"), text_of(assistant, "content")
