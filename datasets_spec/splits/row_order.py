"""The fixed order of rows in a split, and numbers that depend on labels only."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import TypeVar

H = TypeVar("H", bound=Hashable)


def unit_interval(*parts: str | int) -> float:
    """Returns a number in [0, 1) that depends on the parts only.

    Args:
        parts: What it is drawn for.
    """
    return int.from_bytes(label_digest(parts)[:7], "big") / 2**56


def label_digest(parts: Sequence[str | int]) -> bytes:
    """Returns bytes that depend on nothing but labels."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode("utf-8")).digest()


def round_robin(rows: Sequence[tuple[H, str]], *, seed: int, name: str) -> list[H]:
    """Orders rows so that every prefix is as balanced over labels as the pool allows.

    Each round takes one row of every label that still has one, so in any prefix the counts of two labels
    differ by at most one until the rarer label is used up. The first n rows of an order are also the first
    n of every longer draw: compositions that share a subset train on the same rows of it.

    Args:
        rows: Identity (with an injective ``str``) and label of every row.
        seed: Seed of the store.
        name: What is ordered, so that equal rows are ordered differently elsewhere.

    Returns:
        The identities in order; independent of the order they came in.
    """
    by_label: dict[str, list[H]] = {}
    for identity, label in rows:
        by_label.setdefault(label, []).append(identity)
    for identities in by_label.values():
        identities.sort(key=lambda identity: label_digest([seed, name, "row", str(identity)]), reverse=True)
    ordered: list[H] = []
    number = 0
    while by_label:
        # Drawn anew each round: a fixed order would favour one label in every odd prefix.
        for label in sorted(by_label, key=lambda text: label_digest([seed, name, "round", number, text])):
            ordered.append(by_label[label].pop())
            if not by_label[label]:
                del by_label[label]
        number += 1
    return ordered
