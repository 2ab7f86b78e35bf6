"""Which questions stand or fall together: those about one patient or one image, and those that others join."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.splits.assign import components
from datasets_spec.splits.links import Edges

# An interval over one or two clusters claims what it cannot know; of unequal ones, Kish's number counts (Survey
# Sampling, 1965): the square of the sum of sizes by the sum of their squares.
TOO_FEW_CLUSTERS: Final = 2
# With fewer an interval is wider by a quarter or more than it would be with many (search/statistics/few_clusters.py).
FEW_CLUSTERS: Final = 10


def row_clusters(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Numbers rows of one partition, so that those that share a patient or an image, be it through others, are one.

    Questions that compare patients may join all of them. Where clusters count as ``TOO_FEW_CLUSTERS`` or fewer, as one
    that holds nearly all rows does with whatever is beside it, all rows are one cluster, which tells nothing of others.

    Args:
        rows: Stored rows with their ``group`` and ``image_hashes``.
    """
    numbers = _components(rows)
    return [0] * len(rows) if _tell_nothing(numbers) else numbers


def set_clusters(sets: Sequence[Sequence[Mapping[str, Any]]]) -> list[list[int]]:
    """Numbers rows of several evaluation sets, so that a patient or an image has one number in all of them.

    A set whose clusters count as ``TOO_FEW_CLUSTERS`` or fewer is one of its own. Where it does so by itself, as one
    that compares all patients with all, it joins no rows of others.

    Args:
        sets: The rows of each, as in `row_clusters`; of one split, because splits share nothing.

    Returns:
        The numbers of the rows of each set.
    """
    tells = [not _tell_nothing(_components(rows)) for rows in sets]
    joined = iter(_components([row for rows, is_told in zip(sets, tells, strict=True) if is_told for row in rows]))
    found = [[next(joined) if is_told else 0 for _ in rows] for rows, is_told in zip(sets, tells, strict=True)]
    beyond = sum(map(len, sets))
    return [[beyond + at] * len(own) if _tell_nothing(own) else own for at, own in enumerate(found)]


def few_clusters(numbers: Sequence[int]) -> float | None:
    """As how many clusters rows of one partition count, where these are few; 1 tells nothing of others.

    None where there are ``FEW_CLUSTERS`` or more, and where each row is one: few questions are no matter of patients.

    Args:
        numbers: Of the cluster of each row.
    """
    sizes = [*Counter(numbers).values()]
    number = effective_clusters(sizes)
    return number if max(sizes, default=0) > 1 and number < FEW_CLUSTERS else None


def effective_clusters(sizes: Sequence[float] | NDArray[Any]) -> float:
    """As how many clusters of one size these count (Kish's number); 0 for none.

    Args:
        sizes: Questions of each, or their shares.
    """
    numbers = np.asarray(sizes, dtype=np.float64)
    squares = float((numbers**2).sum())
    return float(numbers.sum()) ** 2 / squares if squares else 0.0


def _components(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    codes: dict[str, int] = {}
    ties = [(at, codes.setdefault(name, len(codes))) for at, row in enumerate(rows) for name in _names(row)]
    members, names = np.array(ties, np.int32).reshape(-1, 2).T
    numbers: list[int] = components(len(rows), [Edges(members, names, len(codes))]).tolist()
    return numbers


def _tell_nothing(numbers: Sequence[int]) -> bool:
    sizes = [*Counter(numbers).values()]
    return max(sizes, default=0) > 1 and effective_clusters(sizes) <= TOO_FEW_CLUSTERS


def _names(row: Mapping[str, Any]) -> Iterator[str]:
    # Pseudonyms are hexadecimal digits: a "+" stands between two patients, whatever is in their ids.
    yield from (f"patient {name}" for name in (row["group"] or "").split("+") if name)
    yield from row["image_hashes"]
