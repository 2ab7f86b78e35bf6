"""Every staged row, usable or not: where it stands, why it cannot be used, and that none is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets_spec.errors import StoreError
from datasets_spec.prepare.inputs import DataFile
from datasets_spec.prepare.quarantine import REASONS, AsideRows
from datasets_spec.prepare.surveying.growing import GrowingColumns
from datasets_spec.prepare.surveying.texts import Vocabulary, joined_texts, place_codes
from datasets_spec.splits.hashes import Codes, Words
from datasets_spec.splits.row_table import Numbers, RowSource, first_of_runs
from datasets_spec.storage.place import Place

if TYPE_CHECKING:
    import pyarrow as pa

_USABLE = -1
_LOST_HINT = "put the store on storage that all nodes mount at this path, look for lost nodes, and prepare again"


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundRows:
    """Staged rows by place and index.

    Args:
        places: Their places, ascending.
        place: Of every row, its place.
        index: Its position in the file.
        reason: Why it cannot be used, a position in ``REASONS``; -1 for a usable one.
        details: Of the unusable ones, a few words.
        is_asked_once: Of every row, whether no other is about its images.
        usable_order: Where the usable ones stood when they were read; None if in this order.
    """

    places: tuple[RowSource, ...]
    place: Codes
    index: Numbers
    reason: NDArray[np.int8]
    details: pa.Array
    is_asked_once: NDArray[np.bool_]
    usable_order: Numbers | None

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Of every row, whether it can be used."""
        found: NDArray[np.bool_] = self.reason == _USABLE
        return found

    def aside(self) -> AsideRows:
        """Returns the rows that cannot be used."""
        rows, is_aside = AsideRows(self.places), ~self.is_usable
        rows.add(self.place[is_aside], self.index[is_aside], self.reason[is_aside], self.details)
        return rows

    def require_all(self, files: Sequence[DataFile], num_read: Mapping[RowSource, int], staging: Place) -> None:
        """Refuses rows that were read and did not come back: each file's are 0 to n-1, as counted where it was read.

        Args:
            files: The data files that were to be read.
            num_read: How many rows were read, by place.
            staging: Folder of staged rows.

        Raises:
            StoreError: Rows are not there, or of files that were not to be read; names the files.
        """
        bounds = np.searchsorted(self.place, np.arange(len(self.places) + 1)).tolist()
        found = {place: self.index[bounds[code] : bounds[code + 1]] for code, place in enumerate(self.places)}
        lost = []
        for item in files:
            place = RowSource(item.subset, item.role, item.file)
            indexes, expected = found.pop(place, self.index[:0]), num_read.get(place)
            if expected is None:
                lost.append(f"{item.subset}: {item.file}: {len(indexes)} rows came back, and not how many were read")
            elif len(indexes) != expected or (expected and indexes[-1] != expected - 1):
                num_expected = int(np.searchsorted(indexes, expected))
                lost.append(f"{item.subset}: {item.file}: {num_expected} of {expected} rows came back")
        lost += [f"{place.subset}: {place.file}: rows came back of a file that was not to be read" for place in found]
        if lost:
            raise StoreError(
                f"rows were read and are not in {staging}:\n  " + "\n  ".join(lost),
                hint=_LOST_HINT,
            )


class AllRows:
    """Collects where staged rows stand.

    Args:
        num_read: How many rows were read, by place.
    """

    def __init__(self) -> None:
        self.num_read: dict[RowSource, int] = {}
        self._places = Vocabulary[RowSource]()
        self._columns, self._beside = GrowingColumns(), GrowingColumns()
        self._details: list[pa.Array] = []

    def add(self, chunk: pa.Table) -> pa.Table:
        """Adds staged rows.

        Args:
            chunk: Rows with the light columns, those that only say something of a file included.

        Returns:
            The usable ones.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        is_row = pc.is_null(chunk.column("num_read")).to_numpy()
        for row in chunk.select([*RowSource._fields, "num_read"]).filter(pa.array(~is_row)).to_pylist():
            self.num_read[RowSource(row["subset"], row["role"], row["file"])] = row["num_read"]
        asked = _asked_about(chunk)
        named = pc.index_in(chunk.column("reason"), pa.array([reason.value for reason in REASONS]))
        reason = pc.fill_null(named, _USABLE).to_numpy().astype(np.int8)
        place = np.full(len(is_row), -1, np.int32)
        place[is_row] = place_codes(chunk.select(RowSource._fields).filter(pa.array(is_row)), self._places)
        columns = {"place": place, "index": chunk.column("index").to_numpy(), "reason": reason, "asked": asked}
        self._columns.add(**{name: values[is_row] for name, values in columns.items()})
        self._beside.add(asked=asked[~is_row])
        is_usable = is_row & (reason == _USABLE)
        details = chunk.column("detail").filter(pa.array(is_row & ~is_usable))
        self._details.append(pc.fill_null(details, "").combine_chunks())
        # A filter copies all columns, and most chunks have usable rows only.
        return chunk if is_usable.all() else chunk.filter(pa.array(is_usable))

    def finish(self) -> FoundRows:
        """Sorts what was added.

        Raises:
            StoreError: A row was staged twice.
        """
        import pyarrow as pa

        places = tuple(sorted(self._places.values))
        ranks = np.array([places.index(place) for place in self._places.values], np.int32)
        place, index, reason = (
            ranks[self._columns.pop("place")],
            self._columns.pop("index"),
            self._columns.pop("reason"),
        )
        details = pa.chunked_array(self._details, pa.string())
        asked = np.concatenate([self._columns.pop("asked"), self._beside.pop("asked")])
        is_asked_once, usable_order = _stand_alone(asked)[: len(place)], None
        # Blocks hold rows that follow each other and are read in that order: nothing is left to sort but by a fault.
        order = np.lexsort((index, place))
        if (np.diff(order) < 0).any():
            usable = reason[order] == _USABLE
            usable_order, aside_order = (_places_among(order[kind]) for kind in (usable, ~usable))
            place, index, reason = place[order], index[order], reason[order]
            is_asked_once = is_asked_once[order]
            details = details.take(aside_order)
        if not first_of_runs(place, index).all():
            raise StoreError("a row was staged twice", hint="prepare the store again")
        return FoundRows(
            places=places,
            place=place,
            index=index,
            reason=reason,
            details=details.combine_chunks(),
            is_asked_once=is_asked_once,
            usable_order=usable_order,
        )


def _asked_about(rows: pa.Table) -> Words:
    """A number for the images that every row is about, equal for equal ones."""
    import pandas as pd
    import pyarrow.compute as pc

    named = pc.binary_join_element_wise(
        rows.column("subset").combine_chunks(), joined_texts(rows.column("image_paths").combine_chunks(), "\0"), "\0"
    )
    # 64 bits: that two of 2.4 million rows differ and meet happens once in 6 million data sets, and would only mean
    # that the one's contradictions are looked for by its question.
    found: Words = pd.util.hash_array(named.to_numpy(zero_copy_only=False), categorize=False)
    return found


def _stand_alone(keys: Words) -> NDArray[np.bool_]:
    """Marks keys that no other equals."""
    order = np.argsort(keys)
    is_new = first_of_runs(keys[order])
    alone = np.empty(len(keys), bool)
    alone[order] = is_new & np.append(is_new[1:], True)
    return alone


def _places_among(chosen: Numbers) -> Numbers:
    """Of some rows in a new order, where each stood among them."""
    found: Numbers = np.argsort(np.argsort(chosen))
    return found
