"""Which rows show the same picture, by file and row: written when a store is prepared, to be looked at later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from datasets_spec.errors import StoreError
from datasets_spec.storage.files import whole
from datasets_spec.storage.place import Place
from datasets_spec.store.secret import OWNER_ONLY

TIED_ROWS_NAME = "tied_rows.parquet"


class TiedRow(BaseModel):
    """One row of a pair.

    Args:
        subset: Its subset.
        file: Its file as the catalog names it.
        index: 0-based position in the file.
        split: The split it was given; empty for a duplicate, which was given none.
        outcome: ``kept``, or why it was left out.
        root: Folder of its image; with ``published`` never shown, for paths may name patients.
        published: Path of its image there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subset: str
    file: str
    index: int
    split: str
    outcome: str
    root: str
    published: str


class TiedRows(BaseModel):
    """Two rows that show the same.

    Args:
        level: The strongest level that ties them.
        local: How well the forms of both images agree, 1 at most.
        detail: How well their details agree.
        one: The one row.
        two: The other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: str
    local: float
    detail: float
    one: TiedRow
    two: TiedRow

    @property
    def is_leak(self) -> bool:
        """Whether both were given, and in unequal splits."""
        return bool(self.one.split and self.two.split) and self.one.split != self.two.split


def write_tied_rows(pairs: Sequence[TiedRows], path: Path) -> None:
    """Writes pairs to a Parquet file that only its owner can read.

    Args:
        pairs: The pairs, those to look at first first.
        path: Where to.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ("subset", "file", "split", "outcome", "root", "published")
    side = pa.struct([*((name, pa.string()) for name in texts), ("index", pa.int64())])
    numbers = [(name, pa.float64()) for name in ("local", "detail")]
    schema = pa.schema([("level", pa.string()), *numbers, ("one", side), ("two", side)])
    path.touch(mode=OWNER_ONLY)
    table = pa.Table.from_pylist([pair.model_dump() for pair in pairs], schema=schema)
    pq.write_table(table, path, write_page_checksum=True)


def read_tied_rows(path: Place) -> list[TiedRows]:
    """Reads pairs.

    Args:
        path: The file.

    Raises:
        StoreError: It is not there or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with whole(path) as source:
            rows = pq.read_table(source, page_checksum_verification=True).to_pylist()
    except (OSError, pa.ArrowException):
        raise StoreError(
            f"cannot read {path}, which says which rows show the same",
            hint="delete the store and prepare it again: recombine data prepare STUDY",
        ) from None
    return [TiedRows.model_validate(row) for row in rows]
