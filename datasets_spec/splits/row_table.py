"""What deciding about rows takes, in columns: about 200 bytes a row, however its texts are long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets_spec.splits.hashes import Codes, Hashes, Words

Numbers = NDArray[np.int64]


class RowSource(NamedTuple):
    """Where rows come from.

    Args:
        subset: Their subset.
        role: ``pool`` (divided by shares) or ``test`` (sealed).
        file: Their file as the catalog names it.
    """

    subset: str
    role: str
    file: str


@dataclass(frozen=True, kw_only=True)
class Lists:
    """A list of names for every row.

    Args:
        names: The distinct names, ascending.
        starts: Where the list of every row begins in ``codes``, and where the last ends.
        codes: Positions in ``names``, row after row.
    """

    names: Hashes
    starts: Codes
    codes: Codes

    @cached_property
    def rows(self) -> Codes:
        """The row of every code; kept, as the plan asks for it a dozen times."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))

    def take(self, order: Numbers) -> Lists:
        """Returns the lists of some rows.

        Args:
            order: The rows.
        """
        lengths = np.diff(self.starts)[order]
        starts = starts_of(lengths)
        return Lists(names=self.names, starts=starts, codes=self.codes[spread(self.starts[:-1][order], lengths)])


@dataclass(frozen=True, kw_only=True, slots=True)
class RowTable:
    """Usable rows of all subsets, sorted by place and index.

    Args:
        places: Places, ascending.
        labels: Distinct labels.
        flag_sets: Distinct lists of flags.
        blocks: Blocks of staged rows.
        place: Of every row, its place.
        index: Its position in the file.
        content: Hash of question, options in any order, answer and images: equal for copies.
        row_hash: Hash of everything a model sees, and the gold answer.
        label: What orders are balanced over.
        flags: Its flags.
        question: Equal for rows that are asked the same; 0 where answers are not compared.
        answer: Equal for equal answers.
        block: Block of staged rows that holds it.
        offset: Where it begins there, in bytes.
        images: Its images by pixel hash.
        files: Its images by the hash of their bytes.
        groups: Its known groups; names of 8 bytes.
    """

    places: tuple[RowSource, ...]
    labels: tuple[str, ...]
    flag_sets: tuple[tuple[str, ...], ...]
    blocks: tuple[str, ...]
    place: Codes
    index: Numbers
    content: Hashes
    row_hash: Hashes
    label: Codes
    flags: Codes
    question: Words
    answer: Words
    block: Codes
    offset: Numbers
    images: Lists
    files: Lists
    groups: Lists

    def __len__(self) -> int:
        return len(self.place)

    @property
    def subsets(self) -> tuple[str, ...]:
        """Names of the subsets, ascending."""
        return tuple(sorted({place.subset for place in self.places}))

    @property
    def subset(self) -> Codes:
        """Of every row, its subset."""
        names = self.subsets
        return np.array([names.index(place.subset) for place in self.places], np.int32)[self.place]

    def take(self, order: Numbers) -> RowTable:
        """Returns the rows in another order.

        Args:
            order: Positions of the rows.
        """
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        taken: dict[str, Any] = {
            name: column.take(order) if isinstance(column, Lists) else column[order]
            for name, column in columns.items()
            if isinstance(column, Lists | np.ndarray)
        }
        return replace(self, **taken)

    def has_role(self, role: str) -> NDArray[np.bool_]:
        """Returns which rows have a role.

        Args:
            role: ``pool`` or ``test``.
        """
        return np.array([place.role == role for place in self.places], bool)[self.place]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Some rows of a table, in an order of their own.

    Args:
        table: The table.
        positions: Where they stand in it.
    """

    table: RowTable
    positions: Numbers

    def __len__(self) -> int:
        return len(self.positions)

    def files(self) -> Counter[tuple[str, str]]:
        """Returns how many of the rows each subset and file has."""
        return count_files(self.table.places, self.table.place[self.positions])


def count_files(places: Sequence[RowSource], codes: Codes) -> Counter[tuple[str, str]]:
    """Counts rows by subset and file.

    Args:
        places: The places.
        codes: Of every row, a position among them.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for place, num in zip(places, np.bincount(codes, minlength=len(places)).tolist(), strict=True):
        if num:
            counts[place.subset, place.file] += num
    return counts


def starts_of(lengths: NDArray[np.integer]) -> Codes:
    """Returns where lists of these lengths begin that follow each other, and where the last ends."""
    starts = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=starts[1:])
    return starts


def spread(starts: NDArray[np.integer], lengths: NDArray[np.integer]) -> Numbers:
    """Returns the positions that runs cover.

    Args:
        starts: Where every run begins.
        lengths: How many follow each other.
    """
    before = np.cumsum(lengths) - lengths
    found: Numbers = np.repeat(np.asarray(starts, np.int64) - before, lengths) + np.arange(int(np.sum(lengths)))
    return found


def first_of_runs(*columns: Sequence[int] | NDArray[np.integer]) -> NDArray[np.bool_]:
    """Marks where sorted columns differ from what stands before."""
    arrays = [np.asarray(column) for column in columns]
    is_new = np.ones(len(arrays[0]), bool)
    is_new[1:] = np.logical_or.reduce([array[1:] != array[:-1] for array in arrays])
    return is_new
