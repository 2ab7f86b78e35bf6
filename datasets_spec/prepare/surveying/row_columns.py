"""Usable staged rows, chunk by chunk, as the columns of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets_spec.prepare.surveying.growing import GrowingColumns
from datasets_spec.prepare.surveying.texts import (
    Vocabulary,
    hash_column,
    joined_texts,
    key_column,
    list_lengths,
    text_codes,
)
from datasets_spec.splits.hashes import Codes, distinct
from datasets_spec.splits.row_table import Lists, Numbers, RowSource, RowTable, starts_of

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_BYTES = 8
# Between flags, which are names.
_COMMA = ","
_PLAIN = ("content", "row_hash", "label", "flags", "answer", "block", "offset")


class RowColumns:
    """Collects the columns of usable rows."""

    def __init__(self) -> None:
        self._labels, self._flags, self._blocks = Vocabulary[str](), Vocabulary[str](), Vocabulary[str]()
        self._columns = GrowingColumns()

    def add(self, rows: pa.Table) -> None:
        """Adds rows.

        Args:
            rows: Staged rows with the light columns, ``block`` and ``offset``.
        """
        column = {name: rows.column(name).combine_chunks() for name in rows.column_names}
        self._columns.add(
            content=hash_column(column["content_hash"]),
            row_hash=hash_column(column["row_hash"]),
            label=text_codes(column["label"], self._labels),
            flags=text_codes(joined_texts(column["flags"], _COMMA), self._flags),
            question=key_column(column["question_key"]),
            options=key_column(column["options_key"]),
            answer=key_column(column["answer_key"]),
            block=text_codes(column["block"].dictionary_decode(), self._blocks),
            offset=column["offset"].to_numpy(),
            num_images=list_lengths(column["image_hashes"]),
            images=hash_column(column["image_hashes"].flatten()),
            files=hash_column(column["image_bytes_hashes"].flatten()),
            num_groups=list_lengths(column["groups"]),
            groups=hash_column(column["groups"].flatten(), _GROUP_BYTES),
        )

    def finish(
        self,
        *,
        places: tuple[RowSource, ...],
        place: Codes,
        index: Numbers,
        is_asked_once: NDArray[np.bool_],
        order: Numbers | None,
    ) -> RowTable:
        """Returns the rows.

        Args:
            places: All places, ascending.
            place: Of every row, its place.
            index: Of every row, its position in the file.
            is_asked_once: Of every row, whether no other is about its images.
            order: Where the rows stood when they were added; None if they were in this order.
        """
        if order is not None:
            back = np.argsort(order)
            place, index, is_asked_once = place[back], index[back], is_asked_once[back]
        starts, group_starts = (starts_of(self._columns.pop(name)) for name in ("num_images", "num_groups"))
        table = RowTable(
            places=places,
            labels=self._labels.values,
            flag_sets=tuple(tuple(text.split(_COMMA)) if text else () for text in self._flags.values),
            blocks=self._blocks.values,
            place=place,
            index=index,
            # Where an image is asked about once, as in sets of classes, options decide: wordings vary.
            question=np.where(is_asked_once, self._columns.pop("options"), self._columns.pop("question")),
            images=self._lists("images", starts),
            files=self._lists("files", starts),
            groups=self._lists("groups", group_starts),
            **{name: self._columns.pop(name) for name in _PLAIN},
        )
        return table if order is None else table.take(order)

    def _lists(self, name: str, starts: Codes) -> Lists:
        hashes = self._columns.pop(name)
        found = distinct(hashes)
        return Lists(names=hashes[found.first], starts=starts, codes=found.codes)
