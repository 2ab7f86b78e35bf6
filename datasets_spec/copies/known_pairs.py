"""What comparing pairs of images led to, kept so that no pair is compared twice.

A pair is known by a key of both pixel hashes, of versions and of whether mirror images count: whatever of these
changes, it is compared again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import numpy as np
from numpy.typing import NDArray

from datasets_spec.copies.chunks import ComparedPair
from datasets_spec.copies.pixel_agreement import Relation
from datasets_spec.storage.files import replace_file, whole
from datasets_spec.storage.place import Place

if TYPE_CHECKING:
    import pyarrow as pa

KNOWN_PAIRS_NAME: Final = "compared-pairs.arrow"
# Raised when comparing the same pixels may lead to another answer.
_COMPARING_VERSION: Final = 1
_RELATIONS: Final[tuple[Relation, ...]] = get_args(Relation)
Keys = NDArray[np.uint64]


class KnownPairs:
    """Pairs that were compared before.

    Args:
        table: ``first`` and ``second`` (the key), ``relation``, ``local`` and ``detail``, sorted by ``first``.
        flips: Whether a mirrored image shows the same picture.
    """

    def __init__(self, table: pa.Table, *, flips: bool) -> None:
        self._table, self._flips = table, flips

    def of(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], ComparedPair]:
        """Returns what is known of some pairs.

        Args:
            pairs: Names of both images of every pair.
        """
        if not pairs or not self._table.num_rows:
            return {}
        wanted = keys_of(pairs, flips=self._flips)
        first, second = (self._table.column(name).to_numpy() for name in ("first", "second"))
        at = np.minimum(np.searchsorted(first, wanted[:, 0]), len(first) - 1)
        numbers = np.flatnonzero((first[at] == wanted[:, 0]) & (second[at] == wanted[:, 1]))
        rows = self._table.select(["relation", "local", "detail"]).take(at[numbers]).to_pylist()
        return {
            pairs[number]: ComparedPair(
                one=pairs[number][0],
                two=pairs[number][1],
                relation=_RELATIONS[row["relation"]],
                local=row["local"],
                detail=row["detail"],
            )
            for number, row in zip(numbers.tolist(), rows, strict=True)
        }

    def with_pairs(self, pairs: Sequence[ComparedPair]) -> pa.Table:
        """Returns a table of these pairs alone, as it is kept: what nobody asked for goes.

        Args:
            pairs: All pairs of a preparation that were compared, now or before.
        """
        import pyarrow as pa

        keys = keys_of([(pair.one, pair.two) for pair in pairs], flips=self._flips)
        order = np.argsort(keys[:, 0], kind="stable")
        columns = {
            "first": pa.array(keys[order, 0]),
            "second": pa.array(keys[order, 1]),
            "relation": pa.array([_RELATIONS.index(pairs[at].relation) for at in order.tolist()], pa.int8()),
            **{
                name: pa.array([getattr(pairs[at], name) for at in order.tolist()], pa.float64())
                for name in ("local", "detail")
            },
        }
        return pa.table(columns, schema=_schema())


def keys_of(pairs: Sequence[tuple[str, str]], *, flips: bool) -> Keys:
    """Returns the keys of pairs: [pairs, 2].

    Args:
        pairs: Names of both images of every pair.
        flips: Whether a mirrored image shows the same picture.
    """
    versions = (f"{name} {importlib.metadata.version(name)}" for name in ("pillow", "numpy", "scipy"))
    start = hashlib.blake2b(f"{_COMPARING_VERSION}\0{flips}\0{' '.join(versions)}".encode(), digest_size=16)
    digests = bytearray()
    for one, two in pairs:
        digest = start.copy()
        digest.update(f"{one}\0{two}".encode())
        digests += digest.digest()
    return np.frombuffer(bytes(digests), "<u8").reshape(-1, 2)


def _schema() -> pa.Schema:
    import pyarrow as pa

    numbers = [("local", pa.float64()), ("detail", pa.float64())]
    return pa.schema([("first", pa.uint64()), ("second", pa.uint64()), ("relation", pa.int8()), *numbers])


def read_known(store_dir: Place, *, flips: bool) -> KnownPairs:
    """Reads what is known; nothing where there is no file, or none that can be read.

    Args:
        store_dir: The store.
        flips: Whether a mirrored image shows the same picture.
    """
    import pyarrow as pa

    try:
        with whole(store_dir / KNOWN_PAIRS_NAME) as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowException):
        table = _schema().empty_table()
    return KnownPairs(table if table.schema == _schema() else _schema().empty_table(), flips=flips)


def write_known(store_dir: Place, table: pa.Table) -> None:
    """Writes what is known, in the place of what was.

    Args:
        store_dir: The store.
        table: From :meth:`KnownPairs.with_pairs`.
    """
    import pyarrow as pa

    def write(path: Path) -> None:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)

    replace_file(store_dir / KNOWN_PAIRS_NAME, write)
