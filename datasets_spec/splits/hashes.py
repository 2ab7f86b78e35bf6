"""Hashes as rows of bytes: a quarter of what their texts take, compared and sorted by the processor's words."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# One hash a row, big-endian; their order is that of their texts in hexadecimal digits. Widths are multiples of 8.
Hashes = NDArray[np.uint8]
Codes = NDArray[np.int32]
Words = NDArray[np.uint64]
# Rows that are texts at a time: 6 MB.
_ROWS_AT_ONCE = 65_536


class Distinct(NamedTuple):
    """The hashes of a column.

    Args:
        names: Each once, ascending.
        first: Where each stands first.
        codes: Of every row, the position of its hash in ``names``.
    """

    names: Hashes
    first: NDArray[np.int64]
    codes: Codes


def words(hashes: Hashes, number: int = 0) -> Words:
    """Returns eight bytes of every hash as a number.

    Args:
        hashes: The hashes.
        number: Which eight, the first by default.
    """
    found: Words = (
        np.ascontiguousarray(hashes[:, 8 * number : 8 * number + 8]).view(">u8").reshape(-1).astype(np.uint64)
    )
    return found


def sorted_positions(hashes: Hashes, within: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
    """Sorts hashes; equal ones stay in their order.

    Args:
        hashes: The hashes.
        within: Numbers to sort by before.
    """
    keys = [words(hashes)] if within is None else [words(hashes), within]
    order = np.lexsort(keys) if within is not None else np.argsort(keys[0], kind="stable")
    is_tie = np.logical_and.reduce([key[order[1:]] == key[order[:-1]] for key in keys])
    at = np.flatnonzero(is_tie)
    # Two of a million different hashes share their first word once in 40 million data sets; equal ones always do.
    if (hashes[order[at]] != hashes[order[at + 1]]).any():
        others = [words(hashes, number) for number in reversed(range(1, hashes.shape[1] // 8))]
        order = np.lexsort([*others, *keys])
    return order


def distinct(hashes: Hashes) -> Distinct:
    """Finds the distinct hashes of a column.

    Args:
        hashes: The hashes.
    """
    order = sorted_positions(hashes)
    first_words = words(hashes)[order]
    is_new = np.ones(len(hashes), bool)
    is_new[1:] = first_words[1:] != first_words[:-1]
    at = np.flatnonzero(~is_new)
    is_new[at] = (hashes[order[at]] != hashes[order[at - 1]]).any(axis=1)
    codes = np.empty(len(hashes), np.int32)
    codes[order] = np.cumsum(is_new, dtype=np.int32) - 1
    first = order[is_new]
    return Distinct(hashes[first], first, codes)


def codes_in(names: Hashes, wanted: Hashes) -> Codes:
    """Returns the positions of hashes among names.

    Args:
        names: Distinct hashes, ascending.
        wanted: Hashes that are among them.
    """
    return distinct(np.concatenate([names, wanted])).codes[len(names) :]


def hex_texts(hashes: Hashes) -> Iterator[list[bytes]]:
    """Writes hashes as lower-case hexadecimal digits.

    Args:
        hashes: The hashes.

    Yields:
        The texts of some rows after the other.
    """
    for start in range(0, len(hashes), _ROWS_AT_ONCE):
        part = np.ascontiguousarray(hashes[start : start + _ROWS_AT_ONCE])
        yield np.frombuffer(binascii.hexlify(part.data), f"S{2 * hashes.shape[1]}").tolist()


def hex_text(one: Hashes) -> str:
    """Writes one hash as lower-case hexadecimal digits.

    Args:
        one: Its bytes.
    """
    return one.tobytes().hex()


def from_hex(texts: list[str], num_bytes: int = 32) -> Hashes:
    """Reads hashes from hexadecimal digits.

    Args:
        texts: The texts.
        num_bytes: Width of a hash.
    """
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(-1, num_bytes)


def digests(prefix: bytes, hashes: Hashes) -> Hashes:
    """Returns the SHA-256 of a prefix and a hash's text, for every hash.

    Args:
        prefix: What stands before each.
        hashes: The hashes.
    """
    sha256 = hashlib.sha256
    found = [b"".join([sha256(prefix + text).digest() for text in texts]) for texts in hex_texts(hashes)]
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, 32)
