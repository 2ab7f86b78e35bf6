"""ShareGPT files with images, as LLaMA-Factory documents them: ``images`` and ``conversations``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets_spec.readers.conversation import sample_from, two_turns
from datasets_spec.readers.files import rows_of
from datasets_spec.readers.records import RowError, paths_of, source_of
from datasets_spec.sample import Flag, QuarantinedRow, QuarantineReason, RawSample
from datasets_spec.storage.place import Place


def read_rows(path: Place, *, subset: str) -> Iterator[RawSample | QuarantinedRow]:
    """Yields every record of a ShareGPT file as a sample or a quarantined row, in order.

    Args:
        path: The file.
        subset: Name of the subset it belongs to.

    Raises:
        ReaderError: The file cannot be read.
    """
    return rows_of(path, subset, _sample)


def _sample(index: int, record: dict[str, Any]) -> RawSample:
    paths = paths_of(record.get("images"))
    for key in ("videos", "audios", "tools"):
        if record.get(key):
            raise RowError(QuarantineReason.malformed_row, f"'{key}', which no image question has")
    turns = without_system(record.get("conversations"), "from")
    is_dropped = turns is not record.get("conversations") or bool(record.get("system"))
    flags = (Flag.system_prompt_dropped.value,) if is_dropped else ()
    question, answer = two_turns(turns, role_key="from", text_key="value", roles=("human", "gpt"))
    return sample_from(index, question=question, answer=answer, paths=paths, source=source_of(record), flags=flags)


def without_system(turns: Any, role_key: str) -> Any:
    """Returns turns without a leading system prompt: trainers write their own.

    Args:
        turns: Turns as published, whatever they are.
        role_key: Field of a turn that says who speaks.
    """
    if isinstance(turns, list) and turns and isinstance(turns[0], dict) and turns[0].get(role_key) == "system":
        return turns[1:]
    return turns
