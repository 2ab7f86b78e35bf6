"""The images of usable rows, for the search for copies."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from datasets_spec.copies.chunks import SeenImage
from datasets_spec.prepare.surveying.texts import hash_column
from datasets_spec.splits.hashes import Codes, Hashes, codes_in, distinct, hex_texts, words

if TYPE_CHECKING:
    import pyarrow as pa


def seen_images(facts: pa.Table, names: Hashes) -> SeenImages:
    """Looks up images among what is known of all.

    Args:
        facts: One row an image, with ``root`` and ``published``.
        names: Distinct pixel hashes of the images that usable rows show, ascending.
    """
    import pyarrow.compute as pc

    texts = facts.column("pixel_hash").combine_chunks()
    hashes = hash_column(texts.drop_null())
    first = distinct(hashes).first
    rows = np.flatnonzero(pc.is_valid(texts).to_numpy(zero_copy_only=False))
    roots = facts.column("root").combine_chunks().dictionary_encode()
    return SeenImages(
        names=names,
        positions=rows[first[codes_in(hashes[first], names)]].astype(np.int32),
        looks=facts.column("looks"),
        published=facts.column("published"),
        root=roots.indices.to_numpy(),
        roots=roots.dictionary.to_pylist(),
    )


class SeenImages(Mapping[str, SeenImage]):
    """Images by pixel hash, in columns: each is made when it is asked for.

    Args:
        names: Distinct pixel hashes, ascending.
        positions: Of every name, where its facts stand.
        looks: Numbers of every image, as lists.
        published: Path of every image beneath its root.
        root: Root of every image, a position in ``roots``.
        roots: Folders beneath which images lie.
    """

    def __init__(
        self,
        *,
        names: Hashes,
        positions: Codes,
        looks: pa.ChunkedArray,
        published: pa.ChunkedArray,
        root: Codes,
        roots: Sequence[str],
    ) -> None:
        self._names, self._positions = names, positions
        self._looks, self._published, self._root, self._roots = looks, published, root, roots

    @cached_property
    def _words(self) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        return words(self._names)

    def __getitem__(self, name: str) -> SeenImage:
        try:
            wanted = np.frombuffer(bytes.fromhex(name), np.uint8)
        except ValueError:
            raise KeyError(name) from None
        at = int(np.searchsorted(self._words, words(wanted[None])[0])) if len(wanted) == self._names.shape[1] else -1
        while 0 <= at < len(self) and self._words[at] == words(wanted[None])[0]:
            if (self._names[at] == wanted).all():
                return self._image(int(self._positions[at]))
            at += 1
        raise KeyError(name)

    def _image(self, position: int) -> SeenImage:
        return SeenImage(
            numbers=array("q", self._looks[position].values.to_numpy().tobytes()),
            root=self._roots[self._root[position]],
            published=self._published[position].as_py(),
        )

    def __iter__(self) -> Iterator[str]:
        return (text.decode() for texts in hex_texts(self._names) for text in texts)

    def __len__(self) -> int:
        return len(self._names)
