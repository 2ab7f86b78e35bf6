"""Chat files of the Hugging Face libraries: ``messages`` of ``role`` and ``content``, and ``images``.

Content is text, or a list of parts ``{"type": "text", "text": ...}`` and ``{"type": "image"}``; in Parquet every part
has all fields, empty where they do not apply.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets_spec.readers.conversation import sample_from, two_turns
from datasets_spec.readers.files import rows_of
from datasets_spec.readers.records import RowError, paths_of, source_of
from datasets_spec.readers.sharegpt import without_system
from datasets_spec.sample import Flag, QuarantinedRow, QuarantineReason, RawSample
from datasets_spec.storage.place import Place

_IMAGE_TAG = "<image>"
_PATH_KEYS = ("path", "image", "url")


def read_rows(path: Place, *, subset: str) -> Iterator[RawSample | QuarantinedRow]:
    """Yields every record of a chat file as a sample or a quarantined row, in order.

    Args:
        path: The file.
        subset: Name of the subset it belongs to.

    Raises:
        ReaderError: The file cannot be read, or keeps its images inside.
    """
    return rows_of(path, subset, _sample)


def _sample(index: int, record: dict[str, Any]) -> RawSample:
    named: list[str] = []
    messages = record.get("messages")
    turns = without_system(messages, "role")
    flags = (Flag.system_prompt_dropped.value,) if turns is not messages else ()
    if isinstance(turns, list):
        turns = [_as_text(turn, named) for turn in turns]
    question, answer = two_turns(turns, role_key="role", text_key="content", roles=("user", "assistant"))
    images = record.get("images") or named
    paths = paths_of([_path_of(image) for image in images] if isinstance(images, list) else images)
    if named and paths != tuple(named):
        raise RowError(QuarantineReason.image_count_mismatch, "messages and images name different images")
    return sample_from(
        index,
        question=question,
        answer=answer,
        paths=paths,
        source=source_of(record),
        needs_tags=False,  # with plain text, trainers put the images first by themselves
        flags=flags,
    )


def _path_of(image: Any) -> Any:
    return image.get("path") if isinstance(image, dict) else image


def _as_text(turn: Any, named: list[str]) -> Any:
    """Returns a turn whose content is text with a tag for every image part; collects paths that parts name."""
    if not isinstance(turn, dict) or not isinstance(turn.get("content"), list):
        return turn
    texts = []
    for part in turn["content"]:
        if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part, dict) and part.get("type") == "image":
            texts.append(_IMAGE_TAG)
            named.extend(part[key] for key in _PATH_KEYS if isinstance(part.get(key), str))
        else:
            raise RowError(QuarantineReason.malformed_row, "a part that is neither text nor image")
    return {**turn, "content": "".join(texts)}
