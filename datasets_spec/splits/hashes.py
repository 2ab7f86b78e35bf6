"""Hashes as rows of bytes: a quarter of what their texts take, compared and sorted by the processor's words."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterator, Sequence
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
    """The distinct hashes of a column, ascending.

    Args:
        first: Where each stands first.
        codes: Of every row, which of them it has.
    """

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
    return _sorted(hashes, within)[0]


def distinct(hashes: Hashes) -> Distinct:
    """Finds the distinct hashes of a column.

    Args:
        hashes: The hashes.
    """
    order, is_new = _sorted(hashes, None)
    codes = np.empty(len(hashes), np.int32)
    codes[order] = np.cumsum(is_new, dtype=np.int32) - 1
    return Distinct(order[is_new], codes)


def _sorted(hashes: Hashes, within: NDArray[np.integer] | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Positions in order, and which of them differ from the one before."""
    keys = [words(hashes)] if within is None else [words(hashes), within]
    # Three times as fast as a sort that keeps the order of equal ones, which then is taken where there are some.
    order = np.argsort(keys[0]) if within is None else np.lexsort(keys)
    is_new = _differ(keys, order)
    if within is None and not is_new.all():
        order = np.argsort(keys[0], kind="stable")
    at = np.flatnonzero(~is_new)
    # Two of a million different hashes share their first word once in 40 million data sets; equal ones always do.
    if (hashes[order[at]] != hashes[order[at - 1]]).any():
        keys = [words(hashes, number) for number in reversed(range(1, hashes.shape[1] // 8))] + keys
        order = np.lexsort(keys)
        is_new = _differ(keys, order)
    return order, is_new


def _differ(keys: Sequence[NDArray[np.integer]], order: NDArray[np.int64]) -> NDArray[np.bool_]:
    is_new = np.zeros(len(order), bool)
    is_new[:1] = True
    for key in keys:
        ordered = key[order]
        is_new[1:] |= ordered[1:] != ordered[:-1]
    return is_new


def codes_in(names: Hashes, wanted: Hashes) -> Codes:
    """Returns the positions of hashes among names.

    Args:
        names: Distinct hashes, ascending.
        wanted: Hashes that are among them.
    """
    return distinct(np.concatenate([names, wanted])).codes[len(names) :]


def hex_texts(hashes: Hashes, at: NDArray[np.integer] | None = None) -> Iterator[list[bytes]]:
    """Writes hashes as lower-case hexadecimal digits.

    Args:
        hashes: The hashes.
        at: Positions of those to write, by default all.

    Yields:
        The texts of some rows after the other.
    """
    for start in range(0, len(hashes) if at is None else len(at), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        part = np.ascontiguousarray(hashes[rows if at is None else at[rows]])
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


def digests(prefix: bytes, hashes: Hashes, at: NDArray[np.integer] | None = None, *, num_bytes: int = 32) -> Hashes:
    """Returns the SHA-256 of a prefix and a hash's text, for every hash.

    Args:
        prefix: What stands before each.
        hashes: The hashes.
        at: Positions of those that are meant, by default all.
        num_bytes: How many bytes of each are wanted.
    """
    sha256, start = hashlib.sha256, 0
    found = np.empty((len(hashes) if at is None else len(at), num_bytes), np.uint8)
    for texts in hex_texts(hashes, at):
        whole = b"".join([sha256(prefix + text).digest() for text in texts])
        found[start : start + len(texts)] = np.frombuffer(whole, np.uint8).reshape(-1, 32)[:, :num_bytes]
        start += len(texts)
    return found
