"""Usable staged rows, chunk by chunk, as the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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
from datasets_spec.splits.hashes import Codes, Distinct, distinct
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
        self._columns: dict[str, list[NDArray[Any]]] = {}
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
        images = distinct(hash_column(column["image_hashes"].flatten()))
        self._add_images(column, place, images.first)
        self._keep(
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
            image_names=images.names,
            images=images.codes + np.int32(self._num_images),
            files=hash_column(column["image_bytes_hashes"].flatten()),
            num_groups=list_lengths(column["groups"]),
            groups=hash_column(column["groups"].flatten(), _GROUP_BYTES),
        )
        self._num_images += len(images.names)

    def _add_images(self, column: Mapping[str, pa.Array], place: Codes, first: Numbers) -> None:
        """Adds what is known of images, each once a chunk."""
        self._looks.append(column["image_looks"].flatten().take(first))
        self._published.append(column["image_paths"].flatten().take(first))
        self._keep(image_place=np.repeat(place, list_lengths(column["image_paths"]))[first])

    def _keep(self, **columns: NDArray[Any]) -> None:
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(values)

    def _whole(self, name: str) -> Any:
        # Popped: of one column at a time both its parts and the whole are held.
        return np.concatenate(self._columns.pop(name))

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
        names, files, groups = (distinct(self._whole(name)) for name in ("image_names", "files", "groups"))
        images = self._seen_images(names, roots)
        starts, codes = starts_of(self._whole("num_images")), names.codes[self._whole("images")]
        table = RowTable(
            places=places,
            labels=self._labels.values,
            flag_sets=tuple(tuple(text.split(_COMMA)) if text else () for text in self._flags.values),
            blocks=self._blocks.values,
            place=place,
            index=index,
            # Where an image is asked about once, as in sets of classes, options decide: wordings vary.
            question=np.where(is_asked_once, self._whole("options"), self._whole("question")),
            images=Lists(names=names.names, starts=starts, codes=codes),
            files=Lists(names=files.names, starts=starts, codes=files.codes),
            groups=Lists(names=groups.names, starts=starts_of(self._whole("num_groups")), codes=groups.codes),
            **{name: self._whole(name) for name in _PLAIN},
        )
        return (table if order is None else table.take(order)), images

    def _seen_images(self, names: Distinct, roots: Sequence[str]) -> SeenImages:
        import pyarrow as pa

        return SeenImages(
            names=names.names,
            positions=names.first.astype(np.int32),
            looks=pa.chunked_array(self._looks),
            published=pa.chunked_array(self._published),
            root=self._whole("image_place"),
            roots=roots,
        )
