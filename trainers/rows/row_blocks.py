"""A study's rows, loaded once by Ray Data into shared memory; trials take what they need from there.

One Ray Data pipeline inside every trial would cost 15 to 26 s for 600 rows (measured on two cores); reading the
shared blocks is a memory map.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets_spec.errors import RecombineError
from datasets_spec.store.store import Store

# What a model needs of a row; groups and labels stay in the store.
COLUMNS = (
    "sample_id",
    "subset",
    "split",
    "order",
    "question",
    "options",
    "answer",
    "answer_index",
    "answer_kind",
    "images",
    "row_hash",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RowBlocks:
    """References to Arrow tables in Ray's object store, one for each (subset, split), sorted by order."""

    refs: Mapping[tuple[str, str], Any]

    def read(self, subset: str, split: str, num_rows: int | None = None) -> Any:
        """Return the first `num_rows` rows (all when None) as an Arrow table backed by shared memory.

        Raises:
            RecombineError: the partition was not loaded or is shorter than asked for.
        """
        import ray

        if (subset, split) not in self.refs:
            raise RecombineError(f"rows of {subset}/{split} were not loaded for this study")
        table = ray.get(self.refs[(subset, split)])
        if num_rows is not None and table.num_rows < num_rows:
            raise RecombineError(f"{subset}/{split} has {table.num_rows} rows, {num_rows} were asked for")
        return table if num_rows is None else table.slice(0, num_rows)

    def composition(self, composition: Mapping[str, int]) -> Any:
        """Return the training rows of a composition: subsets by name, each the first rows of its own order."""
        import pyarrow as pa

        parts = [self.read(subset, "train", count) for subset, count in sorted(composition.items()) if count]
        return pa.concat_tables(parts) if parts else pa.table({})


def load_row_blocks(store: Store, partitions: Iterable[tuple[str, str]]) -> RowBlocks:
    """Read partitions with one Ray Data job and put one sorted table of each into the object store.

    Args:
        store: an open store.
        partitions: (subset, split) pairs; empty ones are left out.

    Raises:
        RecombineError: what was read is not what the manifest says.
    """
    import pyarrow as pa
    import ray

    wanted = sorted({p for p in partitions if store.count(*p)})
    dataset = partition_dataset(store, wanted, len(wanted))
    blocks = ray.get(dataset.materialize().to_arrow_refs())
    table = pa.concat_tables([b for b in blocks if b.num_rows], promote_options="permissive")
    return RowBlocks(refs=share_partitions(store, wanted, table))


def partition_dataset(store: Store, wanted: Sequence[tuple[str, str]], num_blocks: int) -> Any:
    """Return a Ray Data dataset of the rows of partitions.

    Args:
        store: an open store.
        wanted: (subset, split) pairs.
        num_blocks: tasks that read them.
    """
    import ray

    items = [{"subset": subset, "split": split} for subset, split in wanted]
    return ray.data.from_items(items, override_num_blocks=num_blocks).map_batches(
        _read_partitions, fn_kwargs={"store": store}, batch_size=1, batch_format="pyarrow"
    )


def _read_partitions(items: Any, *, store: Store) -> Iterator[Any]:
    for item in items.to_pylist():
        yield from store.read_groups(item["subset"], item["split"], columns=COLUMNS)


def share_partitions(store: Store, wanted: Iterable[tuple[str, str]], table: Any) -> dict[tuple[str, str], Any]:
    """Put each partition of an Arrow table, sorted by order, into Ray's object store; return the references.

    Raises:
        RecombineError: a partition does not have the rows that the manifest says.
    """
    import ray

    refs: dict[tuple[str, str], Any] = {}
    for subset, split in wanted:
        part = partition_rows(table, subset, split)
        if part.num_rows != store.count(subset, split):
            raise RecombineError(
                f"{subset}/{split}: read {part.num_rows} rows, the manifest says {store.count(subset, split)}"
            )
        refs[(subset, split)] = ray.put(part)
    return refs


def partition_rows(table: Any, subset: str, split: str) -> Any:
    """Return the rows of a partition in their order, as slices of the table's own chunks.

    Sorting, taking or joining chunks would copy all images, and fails beyond 2 GiB: Arrow's binary columns have offsets
    of 32 bits. Part files are written in order, so that the slices are few.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    is_mine = pc.and_(pc.equal(table["subset"], subset), pc.equal(table["split"], split))
    places = np.flatnonzero(is_mine.to_numpy())
    places = places[np.argsort(table["order"].to_numpy()[places], kind="stable")]
    breaks = np.flatnonzero(np.diff(places) != 1) + 1
    runs = [run for run in np.split(places, breaks) if len(run)]
    return pa.concat_tables([table.slice(int(run[0]), len(run)) for run in runs]) if runs else table.slice(0, 0)
