"""Columns of texts as columns of numbers."""

from __future__ import annotations

import binascii
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from datasets_spec.splits.hashes import Codes, Hashes, Words
from datasets_spec.splits.row_table import RowSource

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T", bound=Hashable)


class Vocabulary(Generic[T]):
    """Distinct values, numbered as they come."""

    def __init__(self) -> None:
        self._codes: dict[T, int] = {}

    @property
    def values(self) -> tuple[T, ...]:
        """The values in the order of their numbers."""
        return tuple(self._codes)

    def number(self, values: Sequence[T]) -> Codes:
        """Returns the numbers of values.

        Args:
            values: The values; new ones are added.
        """
        return np.array([self._codes.setdefault(value, len(self._codes)) for value in values], np.int32)


def text_codes(column: pa.Array, vocabulary: Vocabulary[str]) -> Codes:
    """Numbers the texts of a column.

    Args:
        column: Texts without nulls, few of them distinct.
        vocabulary: Their numbers.
    """
    coded = column.dictionary_encode()
    found: Codes = vocabulary.number(coded.dictionary.to_pylist())[coded.indices.to_numpy()]
    return found


def place_codes(table: pa.Table, vocabulary: Vocabulary[RowSource]) -> Codes:
    """Numbers the places of staged rows.

    Args:
        table: Staged rows.
        vocabulary: Numbers of places.
    """
    coded = [table.column(name).combine_chunks().dictionary_encode() for name in RowSource._fields]
    texts = [column.dictionary.to_pylist() for column in coded]
    number = np.zeros(table.num_rows, np.int64)
    for column, values in zip(coded, texts, strict=True):
        number = number * len(values) + column.indices.to_numpy()
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)
    at = [column.indices.to_numpy()[first].tolist() for column in coded]
    found = [
        RowSource(*(values[code] for values, code in zip(texts, codes, strict=True))) for codes in zip(*at, strict=True)
    ]
    return vocabulary.number(found)[inverse]


def hash_column(column: pa.Array, num_bytes: int = 32) -> Hashes:
    """Reads hashes from their hexadecimal digits.

    Args:
        column: Texts without nulls.
        num_bytes: Width of a hash.

    Raises:
        ValueError: A text is no such hash.
    """
    _, offsets, data = column.buffers()
    if not len(column):
        return np.empty((0, num_bytes), np.uint8)
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    if (np.diff(ends) != 2 * num_bytes).any():
        raise ValueError(f"hashes of other than {2 * num_bytes} digits")
    return np.frombuffer(binascii.unhexlify(data[ends[0] : ends[-1]]), np.uint8).reshape(-1, num_bytes)


def key_column(column: pa.Array) -> Words:
    """Reads the first eight bytes of hashes: enough where only rows of one picture are compared.

    Args:
        column: Hashes as texts; null becomes 0.
    """
    import pyarrow.compute as pc

    digits = pc.fill_null(pc.utf8_slice_codeunits(column, 0, 16), "0" * 16)
    found: Words = hash_column(digits, 8).view(">u8").reshape(-1).astype(np.uint64)
    return found


def list_lengths(column: pa.Array) -> Codes:
    """Returns how many values every list has.

    Args:
        column: Lists; null has none.
    """
    import pyarrow.compute as pc

    found: Codes = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    return found


def joined_texts(column: pa.Array, between: str) -> pa.Array:
    """Joins the texts of every list.

    Args:
        column: Lists of texts; null joins to nothing.
        between: What stands between two.
    """
    import pyarrow.compute as pc

    return pc.fill_null(pc.binary_join(column, between), "")
