"""Rows of a plan, made without files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from datasets_spec.prepare.surveying.texts import Vocabulary
from datasets_spec.splits.hashes import Hashes, distinct, from_hex, words
from datasets_spec.splits.links import Links
from datasets_spec.splits.row_table import Lists, RowSource, RowTable, starts_of
from datasets_spec.splits.shares import SplitShares
from tests.reference_plan.rows import BYTES_LINK, GROUP_LINK, IMAGE_LINK, TEST, Row, row_links

_KEYS = ("content_hash", "row_hash", "question_key", "answer_key")
TRAIN_ONLY = {"pool": SplitShares(train=1.0, search=0.0, confirm=0.0, sealed=0.0)}


def hash_of(name: str) -> str:
    """A hash for a short name."""
    return hashlib.sha256(name.encode()).hexdigest()


def group_of(name: str) -> str:
    """A group for a short name, in the form that preparing gives it."""
    return hash_of(name)[:16]


def planned_row(subset: str, index: int, image: str, group: str | None = None, data: str | None = None) -> Row:
    """A row that shows an image; of the subset `test`, a published test row."""
    return Row(
        subset=subset,
        role=TEST if subset == "test" else "pool",
        file="f.json",
        index=index,
        content_hash=hash_of(f"{subset}{index}"),
        row_hash=hash_of(f"{subset}{index}"),
        label="x",
        links=named_links([image], [group] if group else [], [data or f"{subset}{index}"]),
    )


def named_links(images: Sequence[str], groups: Sequence[str] = (), files: Sequence[str] = ()) -> frozenset[str]:
    """What ties a row, by short names."""
    return row_links(list(map(hash_of, images)), list(map(group_of, groups)), list(map(hash_of, files)))


def table_of(rows: Iterable[Row]) -> RowTable:
    """The columns of rows, sorted by place."""
    ordered = sorted(rows, key=lambda row: row.place)
    places = sorted({RowSource(row.subset, row.role, row.file) for row in ordered})
    labels, flags, blocks = Vocabulary[str](), Vocabulary[tuple[str, ...]](), Vocabulary[str]()
    keys = {name: from_hex([getattr(row, name) or "0" * 64 for row in ordered]) for name in _KEYS}
    columns = {
        "label": labels.number([row.label for row in ordered]),
        "flags": flags.number([row.flags for row in ordered]),
        "block": blocks.number([row.block for row in ordered]),
    }
    return RowTable(
        places=tuple(places),
        labels=labels.values,
        flag_sets=flags.values,
        blocks=blocks.values,
        place=np.array([places.index(RowSource(row.subset, row.role, row.file)) for row in ordered], np.int32),
        index=np.array([row.index for row in ordered], np.int64),
        content=keys["content_hash"],
        row_hash=keys["row_hash"],
        question=words(keys["question_key"]),
        answer=words(keys["answer_key"]),
        offset=np.array([row.offset for row in ordered], np.int64),
        images=_lists(ordered, IMAGE_LINK, 32),
        files=_lists(ordered, BYTES_LINK, 32),
        groups=_lists(ordered, GROUP_LINK, 8),
        **columns,
    )


def _lists(rows: Sequence[Row], prefix: str, num_bytes: int) -> Lists:
    named = [sorted(link.removeprefix(prefix) for link in row.all_links if link.startswith(prefix)) for row in rows]
    hashes: Hashes = from_hex([name for names in named for name in names], num_bytes)
    found = distinct(hashes)
    starts = starts_of(np.array([len(names) for names in named], np.int64))
    return Lists(names=hashes[found.first], starts=starts, codes=found.codes)


def untied(table: RowTable) -> Links:
    """The ties of rows whose images were not compared."""
    none = np.full(len(table.images.names), -1, np.int32)
    return Links(table=table, near=none, slices=none)
