"""Usable staged rows, chunk by chunk, as the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets_spec.prepare.surveying.growing import GrowingColumns
from datasets_spec.prepare.surveying.seen_images import SeenImages
from datasets_spec.prepare.surveying.texts import (
    Vocabulary,
    hash_column,
    joined_texts,
    key_column,
    list_lengths,
    list_sums,
    text_codes,
)
from datasets_spec.splits.hashes import Codes, Hashes, distinct
from datasets_spec.splits.row_table import Lists, Numbers, Place, RowTable, starts_of

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_BYTES = 8
# Between flags, which are names.
_COMMA = ","
_PLAIN = ("content", "row_hash", "label", "flags", "num_bytes", "answer", "block", "offset")


class RowColumns:
    """Collects the columns of usable rows."""

    def __init__(self) -> None:
        self._labels, self._flags, self._blocks = Vocabulary[str](), Vocabulary[str](), Vocabulary[str]()
        self._columns = GrowingColumns()
        self._looks: list[pa.Array] = []
        self._published: list[pa.Array] = []
        self._num_images = 0

    def add(self, rows: pa.Table, place: Codes) -> None:
        """Adds rows.

        Args:
            rows: Staged rows with the light columns, ``block`` and ``offset``.
            place: Number of their place.
        """
        column = {name: rows.column(name).combine_chunks() for name in rows.column_names}
        hashes = hash_column(column["image_hashes"].flatten())
        images = distinct(hashes)
        self._add_images(column, place, images.first)
        self._columns.add(
            content=hash_column(column["content_hash"]),
            row_hash=hash_column(column["row_hash"]),
            label=text_codes(column["label"], self._labels),
            flags=text_codes(joined_texts(column["flags"], _COMMA), self._flags),
            num_bytes=list_sums(column["image_num_bytes"]),
            question=key_column(column["question_key"]),
            options=key_column(column["options_key"]),
            answer=key_column(column["answer_key"]),
            block=text_codes(column["block"].dictionary_decode(), self._blocks),
            offset=column["offset"].to_numpy(),
            num_images=list_lengths(column["image_hashes"]),
            image_names=hashes[images.first],
            images=images.codes + np.int32(self._num_images),
            files=hash_column(column["image_bytes_hashes"].flatten()),
            num_groups=list_lengths(column["groups"]),
            groups=hash_column(column["groups"].flatten(), _GROUP_BYTES),
        )
        self._num_images += len(images.first)

    def _add_images(self, column: Mapping[str, pa.Array], place: Codes, first: Numbers) -> None:
        """Adds what is known of images, each once a chunk."""
        self._looks.append(column["image_looks"].flatten().take(first))
        self._published.append(column["image_paths"].flatten().take(first))
        self._columns.add(image_place=np.repeat(place, list_lengths(column["image_paths"]))[first])

    def finish(
        self,
        *,
        places: tuple[Place, ...],
        place: Codes,
        index: Numbers,
        is_asked_once: NDArray[np.bool_],
        order: Numbers | None,
        roots: Sequence[str],
    ) -> tuple[RowTable, SeenImages]:
        """Returns the rows and their images.

        Args:
            places: All places, ascending.
            place: Of every row, its place.
            index: Of every row, its position in the file.
            is_asked_once: Of every row, whether no other is about its images.
            order: Where the rows stood when they were added; None if they were in this order.
            roots: Folder of images of every place, by the numbers given to :meth:`add`.
        """
        if order is not None:
            back = np.argsort(order)
            place, index, is_asked_once = place[back], index[back], is_asked_once[back]
        image_names, first, codes = self._named("image_names")
        starts = starts_of(self._columns.pop("num_images"))
        images = Lists(names=image_names, starts=starts, codes=codes[self._columns.pop("images")])
        files, _, file_codes = self._named("files")
        groups, _, group_codes = self._named("groups")
        table = RowTable(
            places=places,
            labels=self._labels.values,
            flag_sets=tuple(tuple(text.split(_COMMA)) if text else () for text in self._flags.values),
            blocks=self._blocks.values,
            place=place,
            index=index,
            # Where an image is asked about once, as in sets of classes, options decide: wordings vary.
            question=np.where(is_asked_once, self._columns.pop("options"), self._columns.pop("question")),
            images=images,
            files=Lists(names=files, starts=starts, codes=file_codes),
            groups=Lists(names=groups, starts=starts_of(self._columns.pop("num_groups")), codes=group_codes),
            **{name: self._columns.pop(name) for name in _PLAIN},
        )
        return (table if order is None else table.take(order)), self._seen_images(image_names, first, roots)

    def _named(self, name: str) -> tuple[Hashes, Numbers, Codes]:
        """The distinct hashes of a column, where each stands first, and which of them every row has."""
        hashes = self._columns.pop(name)
        found = distinct(hashes)
        return hashes[found.first], found.first, found.codes

    def _seen_images(self, names: Hashes, first: Numbers, roots: Sequence[str]) -> SeenImages:
        import pyarrow as pa

        return SeenImages(
            names=names,
            positions=first.astype(np.int32),
            looks=pa.chunked_array(self._looks),
            published=pa.chunked_array(self._published),
            root=self._columns.pop("image_place"),
            roots=roots,
        )
