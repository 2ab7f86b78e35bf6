"""The read side of a store: ordered, verified rows of a subset and split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from datasets_spec.errors import StoreError
from datasets_spec.nearest import nearest_of
from datasets_spec.packs.pack_reader import PackReader
from datasets_spec.packs.pack_writer import Extent
from datasets_spec.sample import PLACE_FIELDS, SPLITS, arrow_schema
from datasets_spec.storage.place import Place, S3Place
from datasets_spec.store.damages import find_damages
from datasets_spec.store.lease import Lease, take_lease
from datasets_spec.store.manifest import PartFile, StoreManifest, SubsetCounts, read_manifest

if TYPE_CHECKING:
    import pyarrow as pa

QUARANTINE_NAME = "quarantine.parquet"
ROWS_NAME = "rows.parquet"
# A preparation takes seconds at the least; more replacements than this in a row are no chance.
NUM_TRIES = 5
# Of Arrow's lists, texts and bytes.
_MAX_OFFSET = 2**31 - 1
# Images of a group of rows that are in memory together, as encoded files.
_BYTES_AT_ONCE = 64 * 1024 * 1024
_REBUILD = "prepare the store again: recombine data prepare"


class Store:
    """An opened store, bound to one generation; every read verifies the checksums of the pages it touches.

    Args:
        directory: The store.
        manifest: Its manifest.
        lease: Keeps the generation from being removed, until :meth:`close` or the end of this object.
    """

    def __init__(self, directory: Place, manifest: StoreManifest, lease: Lease | None = None) -> None:
        self.directory = directory
        self.manifest = manifest
        self._lease = lease
        self._packs = PackReader(directory, [pack.name for pack in manifest.packs or ()])

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process reads under the lease of the process that opened the store.
        return Store, (self.directory, self.manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets the generation go; it can still be read while nobody removes it. Safe to call twice."""
        if self._lease is not None:
            self._lease.release()

    @property
    def fingerprint(self) -> str:
        """Content hash of all rows."""
        return self.manifest.fingerprint

    @property
    def subsets(self) -> tuple[str, ...]:
        """Names of the subsets."""
        return tuple(self.manifest.subsets)

    @property
    def num_files(self) -> int:
        """Number of its files: packs of images and Parquet parts of rows."""
        parts = sum(len(parts) for subset in self.manifest.subsets.values() for parts in subset.files.values())
        return parts + len(self.manifest.packs or ())

    def count(self, subset: str, split: str) -> int:
        """Returns the number of rows of a subset and split.

        Args:
            subset: Name of the subset.
            split: One of ``SPLITS``.

        Raises:
            StoreError: There is no such subset or split.
        """
        return self._counts(subset, split).splits.get(split, 0)

    def partition_fingerprint(self, subset: str, split: str) -> str:
        """Returns the content hash of the ordered rows of a subset and split.

        Args:
            subset: Name of the subset.
            split: One of ``SPLITS``.

        Raises:
            StoreError: There is no such subset or split.
        """
        return self._counts(subset, split).partition_fingerprints[split]

    def read(
        self,
        subset: str,
        split: str,
        *,
        num_rows: int | None = None,
        columns: Sequence[str] | None = None,
        with_images: bool = True,
    ) -> pa.Table:
        """Reads the first rows of a subset and split, sorted by ``order``.

        Args:
            subset: Name of the subset.
            split: One of ``SPLITS``.
            num_rows: How many; all by default.
            columns: Names of columns; all by default.
            with_images: False leaves images where they lie: where packs hold them there is the column ``places``
                instead, for :meth:`images_at`.

        Returns:
            An Arrow table of ``sample.ARROW_SCHEMA`` (or of the chosen columns); a column of 2 GiB and
            more is in chunks.

        Raises:
            StoreError: There is no such subset, split or column, there are fewer rows, or data are damaged.
        """
        import pyarrow as pa

        groups = self.read_groups(subset, split, num_rows=num_rows, columns=columns, with_images=with_images)
        tables = list(groups)
        if not tables:
            schema = arrow_schema()
            return schema.empty_table().select(list(columns or schema.names))
        return _combined(pa.concat_tables(tables))

    def images_at(self, places: Sequence[Mapping[str, int]]) -> list[bytes]:
        """Reads the images of a row; any thread may.

        Args:
            places: As a row's column ``places`` has them.

        Raises:
            StoreError: One is missing or damaged.
        """
        return self._images([places])[0]

    def read_groups(
        self,
        subset: str,
        split: str,
        *,
        num_rows: int | None = None,
        columns: Sequence[str] | None = None,
        with_images: bool = True,
    ) -> Iterator[pa.Table]:
        """Reads the same rows as :meth:`read`, some hundred at a time, so that they need not fit into memory.

        Args:
            subset: Name of the subset.
            split: One of ``SPLITS``.
            num_rows: How many; all by default.
            columns: Names of columns; all by default.
            with_images: As for :meth:`read`.

        Yields:
            Their tables, in order.

        Raises:
            StoreError: As for :meth:`read`, with the first table or where the damage is.
        """
        available = self.count(subset, split)
        if num_rows is not None and not 0 <= num_rows <= available:
            raise StoreError(
                f"'{subset}' has {available} rows in split '{split}', not {num_rows}",
                hint="ask for fewer rows, or add data to the subset",
            )
        names = arrow_schema().names
        if columns is not None:
            _require_columns(columns, names)
            names = list(columns)
        missing = available if num_rows is None else num_rows
        for table in self._row_groups(subset, split, missing, names):
            wanted = table.slice(0, missing)
            for part in self._with_images(wanted, names) if with_images else [wanted]:
                missing -= part.num_rows
                yield part
        if missing:
            raise StoreError(f"'{subset}' split '{split}' has fewer rows than its manifest says", hint=_REBUILD)

    def row_hashes(self, subset: str, split: str, num_rows: int | None = None) -> list[str]:
        """Returns the content hashes of the first rows, in order.

        Args:
            subset: Name of the subset.
            split: One of ``SPLITS``.
            num_rows: How many; all by default.

        Raises:
            StoreError: As for :meth:`read`.
        """
        table = self.read(subset, split, num_rows=num_rows, columns=["row_hash"])
        return [str(row_hash) for row_hash in table.column("row_hash").to_pylist()]

    def verify(self) -> int:
        """Compares every file of the store with the hash in its manifest.

        Returns:
            The number of files compared.

        Raises:
            StoreError: Files are missing or damaged; names them.
        """
        damages = find_damages(self.directory, self.manifest, check_hashes=True)
        if damages:
            listed = "\n  ".join(str(damage) for damage in damages)
            raise StoreError(f"{len(damages)} of {self.num_files} files are damaged:\n  {listed}", hint=_REBUILD)
        return self.num_files

    def _counts(self, subset: str, split: str) -> SubsetCounts:
        if subset not in self.manifest.subsets:
            near = nearest_of(subset, self.manifest.subsets)
            advice = f". Did you mean '{near}'?" if near else ""
            raise StoreError(f"the store has no subset '{subset}'{advice}", hint=_REBUILD)
        if split not in SPLITS:
            raise StoreError(f"there is no split '{split}'", hint=f"splits: {', '.join(SPLITS)}")
        return self.manifest.subsets[subset]

    def _parts(self, subset: str, split: str) -> tuple[PartFile, ...]:
        return self._counts(subset, split).files.get(split, ())

    def _row_groups(self, subset: str, split: str, wanted: int, columns: list[str]) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        stored = [self._stored_as(name) for name in columns]
        for part in self._parts(subset, split):
            if wanted <= 0:
                return
            path = self.directory / part.path
            try:
                source, num_bytes = _opened(path)
                if num_bytes != part.num_bytes:
                    raise StoreError(f"{part.path} has changed its size", hint=_REBUILD)
                with pq.ParquetFile(source, page_checksum_verification=True) as file:
                    # From a bucket a part comes whole; its rows together have more images that lie near each other.
                    step = max(1, file.num_row_groups) if isinstance(path, S3Place) else 1
                    for start in range(0, file.num_row_groups, step):
                        if wanted <= 0:
                            return
                        table = file.read_row_groups(range(start, start + step), columns=stored)
                        wanted -= table.num_rows
                        yield table
            except (OSError, pa.ArrowException) as error:
                kind = "is missing" if isinstance(error, FileNotFoundError) else "is damaged"
                raise StoreError(f"{part.path} {kind}", hint=_REBUILD) from None

    def _stored_as(self, column: str) -> str:
        return "places" if column == "images" and self.manifest.packs is not None else column

    def _with_images(self, table: pa.Table, names: Sequence[str]) -> Iterator[pa.Table]:
        """Yields the rows of a table with the images their places lead to, some tens of MiB at a time."""
        import pyarrow as pa

        if "places" not in table.column_names:
            yield table.select(names)
            return
        field = arrow_schema().field("images")
        places = table.column("places").to_pylist()
        start = 0
        for stop in _stops(places):
            images = self._images(places[start:stop])
            part = table.slice(start, stop - start).drop_columns(["places"])
            yield part.append_column(field, pa.array(images, field.type)).select(names)
            start = stop

    def _images(self, places: Sequence[Sequence[Mapping[str, int]]]) -> list[list[bytes]]:
        """Images of rows, by the places of each."""
        wanted = []
        for place in (place for row in places for place in row):
            pack, *extent = (place[name] for name in PLACE_FIELDS)
            wanted.append((pack, Extent(*extent)))
        images = iter(self._packs.read(wanted))
        return [[next(images) for _ in row] for row in places]


def _opened(path: Place) -> tuple[Any, int]:
    """What Parquet reads a part from, and its size; in a bucket both come by one request."""
    import pyarrow as pa

    if isinstance(path, S3Place):
        data = path.read_bytes()
        return pa.BufferReader(data), len(data)
    return path, path.stat().st_size


def _stops(places: Sequence[Sequence[Mapping[str, int]]]) -> Iterator[int]:
    """Cuts rows where their images exceed what is held at once; yields the ends."""
    num_bytes = 0
    for number, row in enumerate(places):
        num_bytes += sum(place["num_bytes"] for place in row)
        if num_bytes > _BYTES_AT_ONCE or number == len(places) - 1:
            yield number + 1
            num_bytes = 0


def _combined(table: pa.Table) -> pa.Table:
    """Joins the chunks of every column whose offsets, of 32 bits, can address it as one."""
    import pyarrow as pa

    columns = [column.combine_chunks() if column.nbytes <= _MAX_OFFSET else column for column in table.columns]
    return pa.table(columns, schema=table.schema)


def _require_columns(columns: Sequence[str], valid: Sequence[str]) -> None:
    for name in columns:
        if name not in valid:
            near = nearest_of(name, valid)
            advice = f". Did you mean '{near}'?" if near else ""
            raise StoreError(f"stored rows have no column '{name}'{advice}")


def open_store(directory: Place) -> Store:
    """Opens a prepared store, and holds the generation that is current now.

    Args:
        directory: Where it was prepared.

    Raises:
        StoreError: There is none, or its manifest is damaged.
        StorageError: It is in a bucket that cannot be used.
    """
    for _ in range(NUM_TRIES):
        manifest = read_manifest(directory)
        if manifest is None:
            raise StoreError(f"{directory} holds no prepared store", hint="run: recombine data prepare")
        try:
            lease = take_lease(directory / manifest.generation)
        except BlockingIOError:  # replaced since the manifest was read, and going
            continue
        # Between the manifest and the lease another generation may have come, and this one gone.
        now = read_manifest(directory)
        if now is not None and now.generation == manifest.generation:
            return Store(directory, manifest, lease)
    raise StoreError(f"{directory} is being prepared again and again", hint="give every study its own `store`")
