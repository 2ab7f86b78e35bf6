"""The fixed order of rows in a split, and numbers that depend on labels only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from datasets_spec.splits.hashes import Codes, Hashes, digests, sorted_positions
from datasets_spec.splits.row_table import Numbers, spread


def unit_interval(*parts: str | int) -> float:
    """Returns a number in [0, 1) that depends on the parts only.

    Args:
        parts: What it is drawn for.
    """
    return int.from_bytes(label_digest(parts)[:7], "big") / 2**56


def label_digest(parts: Sequence[str | int]) -> bytes:
    """Returns bytes that depend on nothing but labels."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode("utf-8")).digest()


def round_robin(contents: Hashes, at: Numbers, labels: Codes, texts: Sequence[str], *, seed: int, name: str) -> Numbers:
    """Orders rows so that every prefix is as balanced over labels as the pool allows.

    Each round takes one row of every label that still has one, so in any prefix the counts of two labels
    differ by at most one until the rarer label is used up. The first n rows of an order are also the first
    n of every longer draw: compositions that share a subset train on the same rows of it.

    Args:
        contents: What names rows, and no other.
        at: Positions of the rows to order in it.
        labels: Label of each of these, a position in ``texts``.
        texts: The labels.
        seed: Seed of the store.
        name: What is ordered, so that equal rows are ordered differently elsewhere.

    Returns:
        Which of ``at`` come in order; which rows these are does not depend on the order they came in.
    """
    drawn = digests(f"{seed}\0{name}\0row\0".encode(), contents, at)
    by_label = sorted_positions(drawn, within=labels)
    present, starts, nums = np.unique(labels[by_label], return_index=True, return_counts=True)
    most_first = np.argsort(-nums, kind="stable")
    starts, nums = starts[most_first], nums[most_first]
    # How many labels still have a row, round by round: the most frequent come first, so it is the first so many.
    num_rounds = int(nums[0]) if len(nums) else 0
    num_left = len(nums) - np.searchsorted(np.sort(nums), np.arange(num_rounds), side="right")
    label = spread(np.zeros(num_rounds, np.int64), num_left)
    round_ = np.repeat(np.arange(num_rounds), num_left)
    turns = _turns(num_left, [texts[code] for code in present[most_first].tolist()], seed, name)
    # Where one label is left, there is nothing to draw.
    order = np.arange(len(label))
    order[: len(turns)] = sorted_positions(turns, within=round_[: len(turns)])
    found: Numbers = by_label[starts[label[order]] + round_[order]]
    return found


def _turns(num_left: Numbers, texts: Sequence[str], seed: int, name: str) -> Hashes:
    """Draws for every round with several labels what these are sorted by in it.

    Drawn anew each round: a fixed order would favour one label in every odd prefix.
    """
    sha256 = hashlib.sha256
    prefix, ends = f"{seed}\0{name}\0round\0".encode(), [b"\0" + text.encode() for text in texts]
    found = bytearray()
    for number, left in enumerate(num_left[num_left > 1].tolist()):
        start = prefix + str(number).encode()
        found += b"".join([sha256(start + end).digest() for end in ends[:left]])
    return np.frombuffer(found, np.uint8).reshape(-1, 32)
