"""The canonical sample: what a reader yields, what a stored row holds, and why a row is set aside."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    ARROW_SCHEMA: pa.Schema

SPLITS = ("train", "search", "confirm", "sealed")
OPEN_ANSWER = -1

# Answers are scored by letter, and there are 26 letters.
MAX_OPTIONS = 26
MIN_OPTIONS = 2


class QuarantineReason(StrEnum):
    """Why a published row is not in the store; every row is in the store or has one of these."""

    missing_image = "missing_image"
    image_truncated = "image_truncated"
    image_undecodable = "image_undecodable"
    image_too_large = "image_too_large"
    image_format = "image_format"
    image_not_opened = "image_not_opened"
    path_outside_root = "path_outside_root"
    malformed_row = "malformed_row"
    empty_question = "empty_question"
    empty_answer = "empty_answer"
    answer_not_in_options = "answer_not_in_options"
    box_unusable = "box_unusable"
    options_not_found = "options_not_found"
    too_few_options = "too_few_options"
    too_many_options = "too_many_options"
    image_count_mismatch = "image_count_mismatch"
    duplicate_row = "duplicate_row"
    leaked_row = "leaked_row"
    not_selected = "not_selected"
    not_sampled = "not_sampled"


class Flag(StrEnum):
    """Something odd about a row that is kept."""

    duplicate_options = "duplicate_options"
    duplicate_gold_option = "duplicate_gold_option"
    gold_text_contradicts_option = "gold_text_contradicts_option"
    gold_without_letter = "gold_without_letter"
    skipped_letter = "skipped_letter"
    same_image_twice = "same_image_twice"
    image_tag_inside_text = "image_tag_inside_text"
    published_option_order = "published_option_order"
    system_prompt_dropped = "system_prompt_dropped"


@dataclass(frozen=True, kw_only=True, slots=True)
class RawSample:
    """One question as published, before its images are opened.

    Args:
        index: 0-based position in its file; with the file it is the only unique identity published rows have.
        question: Question without options, image tags and the closing instruction.
        options: Option texts in published order; empty for an open or box question.
        answer_index: Index of the gold option; -1 for an open or box question.
        answer: Gold option text, or the open answer; of a box empty until its image is opened.
        answer_kind: ``closed``, ``open`` or ``box``.
        label: What the orders are balanced over.
        image_paths: Paths as published, relative to the subset's image root.
        group: Patient or study where the file says it, else None.
        source: Published name of the original data set, if any.
        flags: Members of :class:`Flag`.
        box: Four numbers as published, where the answer is a box.
        mask_path: Path as published of a mask whose outer box is the answer.
    """

    index: int
    question: str
    options: tuple[str, ...]
    answer_index: int
    answer: str
    answer_kind: str
    label: str
    image_paths: tuple[str, ...]
    group: str | None = None
    source: str | None = None
    flags: tuple[str, ...] = ()
    box: tuple[float, ...] | None = None
    mask_path: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantinedRow:
    """A row that is set aside, without anything it says.

    Args:
        subset: Name of the subset.
        file: File name of the row.
        index: 0-based position in the file.
        reason: Why.
        detail: A few words that hold no text of the row.
    """

    subset: str
    file: str
    index: int
    reason: QuarantineReason
    detail: str = ""


def sample_id(subset: str, file_stem: str, index: int) -> str:
    """Returns the identity of a row: published ids repeat, positions do not.

    Args:
        subset: Name of the subset.
        file_stem: File name without its suffix.
        index: 0-based position in the file.
    """
    return f"{subset}/{file_stem}#{index}"


def option_text_key(text: str) -> str:
    """Returns the form in which two option texts are compared: case, whitespace and how accents are spelt do not count.

    Med-MIM's held-out ODIR file prints the gold text under two letters in 102 of 300 questions; options with
    equal keys are one option.

    Args:
        text: Option text.
    """
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()


def option_groups(options: tuple[str, ...] | list[str]) -> list[int]:
    """Returns for each option the index of the first option with the same text.

    Args:
        options: Option texts in display order.
    """
    first: dict[str, int] = {}
    return [first.setdefault(option_text_key(text), i) for i, text in enumerate(options)]


@cache
def arrow_schema() -> pa.Schema:
    """Returns the Arrow schema of a stored row (pyarrow is imported on the first call)."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("sample_id", pa.string(), nullable=False),
            pa.field("subset", pa.string(), nullable=False),
            pa.field("split", pa.string(), nullable=False),
            pa.field("order", pa.int32(), nullable=False),
            pa.field("question", pa.string(), nullable=False),
            pa.field("options", pa.list_(pa.string()), nullable=False),
            pa.field("answer", pa.string(), nullable=False),
            pa.field("answer_index", pa.int32(), nullable=False),
            pa.field("answer_kind", pa.string(), nullable=False),
            pa.field("label", pa.string(), nullable=False),
            pa.field("images", pa.list_(pa.binary()), nullable=False),
            pa.field("image_hashes", pa.list_(pa.string()), nullable=False),
            pa.field("group", pa.string(), nullable=True),
            pa.field("row_hash", pa.string(), nullable=False),
            pa.field("flags", pa.list_(pa.string()), nullable=False),
        ]
    )


# Where an image lies: number of its pack, first byte, length, checksum.
PLACE_FIELDS = ("pack", "offset", "num_bytes", "crc32")


@cache
def rows_schema() -> pa.Schema:
    """Returns the Arrow schema of a row as its file holds it: with places in packs instead of images."""
    import pyarrow as pa

    place = pa.struct([(name, pa.int64()) for name in PLACE_FIELDS])
    schema = arrow_schema()
    return schema.set(schema.get_field_index("images"), pa.field("places", pa.list_(place), nullable=False))


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "ARROW_SCHEMA":
            return arrow_schema()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def file_stem(file: str) -> str:
    """Returns the part of a catalog's file name that sample ids carry.

    Args:
        file: File as the catalog names it.
    """
    return PurePosixPath(file).stem or "folder"  # "." is the catalog's own folder
