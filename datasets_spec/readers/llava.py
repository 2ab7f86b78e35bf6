"""LLaVA's files: ``image`` and ``conversations`` of ``from`` (human, gpt) and ``value``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets_spec.readers.conversation import sample_from, two_turns
from datasets_spec.readers.files import rows_of
from datasets_spec.readers.records import paths_of, source_of
from datasets_spec.sample import QuarantinedRow, RawSample
from datasets_spec.storage.place import Place


def read_rows(path: Place, *, subset: str) -> Iterator[RawSample | QuarantinedRow]:
    """Yields every record of a LLaVA file as a sample or a quarantined row, in order.

    Args:
        path: The file.
        subset: Name of the subset it belongs to.

    Raises:
        ReaderError: The file cannot be read.
    """
    return rows_of(path, subset, _sample)


def _sample(index: int, record: dict[str, Any]) -> RawSample:
    paths = paths_of(record.get("image"))
    turns = record.get("conversations")
    question, answer = two_turns(turns, role_key="from", text_key="value", roles=("human", "gpt"))
    return sample_from(index, question=question, answer=answer, paths=paths, source=source_of(record))
