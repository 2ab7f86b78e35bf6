"""The fixed order of options in a question and of rows in a split."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Sequence
from typing import TypeVar

from datasets_spec.canonical import content_hash
from datasets_spec.sample import option_text_key

H = TypeVar("H", bound=Hashable)

# "Both A and B", "none of the above": such options lose their meaning when they move.
_REFERS_TO_OTHERS = re.compile(r"\bof the above\b|\b[A-Z] (?:and|or|&) [A-Z]\b", re.IGNORECASE)


def unit_interval(*parts: str | int) -> float:
    """Returns a number in [0, 1) that depends on the parts only.

    Args:
        parts: What it is drawn for.
    """
    return int.from_bytes(_digest(parts)[:7], "big") / 2**56


def _digest(parts: Sequence[str | int]) -> bytes:
    return hashlib.sha256("\0".join(str(part) for part in parts).encode("utf-8")).digest()


def option_order(seed: int, question: str, options: Sequence[str], image_hashes: Sequence[str]) -> tuple[int, ...]:
    """Returns the display order of a question's options; the gold option has no part in it.

    Language models prefer some option letters (arXiv 2309.03882), and published files place gold options
    unevenly (44 % under A in Med-MIM's RAD file), so positions are drawn by hash.

    Args:
        seed: Seed of the store.
        question: The question.
        options: Option texts as published.
        image_hashes: Hashes of the images, in order.

    Returns:
        Indexes into ``options``, in display order; the published order where an option refers to others.
    """
    if keeps_published_order(options):
        return tuple(range(len(options)))
    key = content_hash([seed, question, sorted(options), list(image_hashes)])
    seen: dict[str, int] = {}
    ranks = []
    for index, option in enumerate(options):
        copy = seen[option] = seen.get(option, -1) + 1
        ranks.append((_digest([key, option, copy]), index))
    return tuple(index for _, index in sorted(ranks))


def keeps_published_order(options: Sequence[str]) -> bool:
    """Says whether an option refers to other options, so that none may move.

    Args:
        options: Option texts.
    """
    return any(_REFERS_TO_OTHERS.search(option_text_key(option)) for option in options)


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
        identities.sort(key=lambda identity: _digest([seed, name, "row", str(identity)]), reverse=True)
    ordered: list[H] = []
    number = 0
    while by_label:
        # Drawn anew each round: a fixed order would favour one label in every odd prefix.
        for label in sorted(by_label, key=lambda text: _digest([seed, name, "round", number, text])):
            ordered.append(by_label[label].pop())
            if not by_label[label]:
                del by_label[label]
        number += 1
    return ordered
