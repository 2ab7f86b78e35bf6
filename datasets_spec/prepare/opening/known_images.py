"""What is known of images: from packs of earlier preparations, and from those that are opened now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.packs.image_index import KEY_BYTES, facts_schema, image_key, read_indexes
from datasets_spec.packs.pack_writer import INDEX_SUFFIX, PACKS, PackFile
from datasets_spec.prepare.opening.image_facts import of_each_picture_one
from datasets_spec.prepare.opening.wanted_images import Places
from datasets_spec.storage.files import names_in
from datasets_spec.storage.place import Place
from datasets_spec.store.image_states import states_of

if TYPE_CHECKING:
    import pyarrow as pa

# Of a pack, less than this share of which is wanted, the wanted images are opened again: it can then be removed.
_LEAST_WANTED: Final = 0.5
# Images whose states are looked up together: some MB of Python objects.
_AT_ONCE: Final = 65_536


class KnownImages:
    """What is known of the wanted images.

    Args:
        places: The wanted images.

    Attributes:
        num_bytes: Of every image, the size of its file; -1 where there is none.
        packs: Packs that hold images, by name.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._tables: list[tuple[str | None, pa.Table]] = []
        self._table = np.full(len(places), -1, np.int32)
        self._row = np.zeros(len(places), np.int32)
        self.num_bytes = np.full(len(places), -1, np.int64)
        self.packs: dict[str, PackFile] = {}

    @property
    def missing(self) -> NDArray[np.int64]:
        """Numbers of the images of which nothing is known."""
        return np.flatnonzero(self._table < 0)

    def add(self, numbers: Sequence[int] | NDArray[np.integer], table: pa.Table, rows: NDArray[np.integer],
            pack: PackFile | None) -> None:  # fmt: skip
        """Adds what an index says.

        Args:
            numbers: Of some images, their numbers.
            table: The index.
            rows: Their rows there.
            pack: Its pack; None where it has none.
        """
        if pack is not None:
            self.packs[pack.name] = pack
        self._table[numbers], self._row[numbers] = len(self._tables), rows
        self._tables.append((pack.name if pack else None, table))

    def look_up(self, store_dir: Place, opening: str) -> None:
        """Looks at the files of all images, and finds those that are in a pack as they are now.

        Args:
            store_dir: The store.
            opening: How images are opened, from :func:`wanted_images.opening_of`.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        keys = self._look_at_files(opening)
        names = [name for name in names_in(store_dir / PACKS) if name.endswith(INDEX_SUFFIX) and name[0] != "."]
        for index in read_indexes(store_dir / PACKS, [PurePosixPath(name).stem for name in names]):
            if index is None:
                continue
            table, pack = index
            # What was refused may have been for want of time or memory: it is tried again.
            usable = np.flatnonzero(pc.is_null(table.column("reason")).to_numpy())
            at = keys.find(table.column("key").take(pa.array(usable)))
            is_new = (at >= 0) & (self._table[at] < 0)
            rows, numbers = usable[is_new], at[is_new]
            if len(rows) and (pack is None or _wanted_bytes(table, rows) >= _LEAST_WANTED * pack.num_bytes):
                self.add(numbers, table, rows, pack)

    def _look_at_files(self, opening: str) -> _Keys:
        import pyarrow.compute as pc

        order = pc.sort_indices(self._places.texts).to_numpy()  # those of one folder stand together
        keys = np.zeros((len(order), KEY_BYTES), np.uint8)
        for start in range(0, len(order), _AT_ONCE):
            numbers = order[start : start + _AT_ONCE]
            places = self._places.of(numbers)
            states = states_of([place[:2] for place in places])
            self.num_bytes[numbers] = [state.num_bytes for state in states]
            found = (
                image_key(place.text, state.num_bytes, state.mtime_ns, opening)
                for place, state in zip(places, states, strict=True)
            )
            keys[numbers] = np.frombuffer(b"".join(found), np.uint8).reshape(-1, KEY_BYTES)
        return _Keys(keys)

    def joined(self) -> tuple[pa.Table, tuple[PackFile, ...]]:
        """Returns the facts of all images in their order, and the packs that hold them."""
        import pyarrow as pa

        schema = facts_schema().append(pa.field("pack", pa.int32()))
        names = sorted(self.packs)
        tables = [schema.empty_table()]
        for name, table in self._tables:
            pack = pa.scalar(None if name is None else names.index(name), pa.int32())
            tables.append(table.append_column("pack", pa.repeat(pack, table.num_rows)))
        starts = np.cumsum([table.num_rows for table in tables])
        rows = starts[self._table] + self._row if len(self._table) else np.array([], np.int64)
        facts = of_each_picture_one(pa.concat_tables(tables).take(pa.array(rows)))
        used = facts.column("pack").unique().drop_null().sort().to_pylist()
        roots, paths = self._places.roots_and_paths()
        facts = _renumbered(facts, used).append_column("root", roots).append_column("published", paths)
        return facts, tuple(self.packs[names[number]] for number in used)


class _Keys:
    """Keys of images, which can be searched.

    Args:
        keys: Their bytes: [images, KEY_BYTES].
    """

    def __init__(self, keys: NDArray[np.uint8]) -> None:
        words = keys.reshape(-1).view("<u8").reshape(-1, 2)
        self._order = np.argsort(words[:, 0], kind="stable")
        self._words = words[self._order]

    def find(self, wanted: pa.ChunkedArray) -> NDArray[np.int64]:
        """Returns the numbers of images by their keys, -1 where no image has one."""
        import pyarrow as pa

        column = wanted.combine_chunks() if isinstance(wanted, pa.ChunkedArray) else wanted
        if not len(column) or not len(self._words):
            return np.full(len(column), -1, np.int64)
        data = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * KEY_BYTES :][: len(column) * KEY_BYTES]
        words = data.view("<u8").reshape(-1, 2)
        at = np.minimum(np.searchsorted(self._words[:, 0], words[:, 0]), len(self._words) - 1)
        return np.where((self._words[at] == words).all(axis=1), self._order[at], -1)


def _wanted_bytes(table: pa.Table, rows: NDArray[np.integer]) -> int:
    """Bytes of a pack that some of its rows name; equal images have one place."""
    import pyarrow as pa

    chosen = table.select(["offset", "length"]).take(pa.array(rows))
    offsets, lengths = (chosen.column(name).drop_null().to_numpy() for name in ("offset", "length"))
    _, first = np.unique(offsets, return_index=True)
    return int(lengths[first].sum())


def _renumbered(facts: pa.Table, used: Sequence[int]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pc.index_in(facts.column("pack"), value_set=pa.array(used, pa.int32()), skip_nulls=True)
    return facts.set_column(facts.schema.get_field_index("pack"), "pack", numbers)
