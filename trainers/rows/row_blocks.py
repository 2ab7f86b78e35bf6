"""A study's rows, read once by Ray Data; trials take what they need from shared memory, or from files on disk.

One Ray Data pipeline inside every trial would cost 15 to 26 s for 600 rows (measured on two cores); opening what was
read is a memory map. Only this file knows how rows come out of the store.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_spec.store.store import Store
from trainers.rows.shared_blocks import Piece, Place, in_order, index_blocks, read_pieces, runs_of

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
# Rows that travel together: half of what Ray Data takes for a block (128 MiB), so that it never has to cut one.
BLOCK_BYTES = 64 * 2**20
READER_CPUS = 0.5  # a reader mostly waits for the disk, and encoders beside it must not starve


@dataclass(frozen=True, kw_only=True, slots=True)
class RowBlocks:
    """Rows of a study by (subset, split), each in the order of its partition.

    Attributes:
        parts: the pieces of every partition.
    """

    parts: Mapping[Place, Sequence[Piece]]

    def read(self, subset: str, split: str, num_rows: int | None = None) -> Any:
        """Return the first `num_rows` rows (all when None) as an Arrow table; its images are not copied.

        Raises:
            RecombineError: the partition was not loaded or is shorter than asked for.
        """
        return read_pieces(self.parts, (subset, split), num_rows)

    def composition(self, composition: Mapping[str, int]) -> Any:
        """Return the training rows of a composition: subsets by name, each the first rows of its own order."""
        import pyarrow as pa

        parts = [self.read(subset, "train", count) for subset, count in sorted(composition.items()) if count]
        return pa.concat_tables(parts) if parts else pa.table({})


def load_row_blocks(store: Store, wanted: Mapping[Place, int], *, folder: Path | None = None) -> RowBlocks:
    """Read the first rows of partitions with one Ray Data job; none of them passes through this process.

    Args:
        store: an open store.
        wanted: rows of each partition; a partition without any is left out.
        folder: where rows are written as Arrow files that trials map; None: into Ray's object store.

    Raises:
        RecombineError: what was read is not what the manifest says.
    """
    wanted = {place: number for place, number in sorted(wanted.items()) if number}
    if not wanted:
        return RowBlocks(parts={})
    rows = partition_dataset(store, wanted)
    if folder is None:
        return RowBlocks(parts=index_blocks(rows.materialize().to_arrow_refs(), wanted))
    folder.mkdir(parents=True, exist_ok=True)
    written = rows.map_batches(
        _write_block, fn_kwargs={"folder": str(folder)}, batch_size=None, batch_format="pyarrow", num_cpus=READER_CPUS
    )
    found = [
        ((row["subset"], row["split"]), row["first"], Piece(**{n: row[n] for n in ("block", "num_rows", "offset")}))
        for row in written.take_all()
    ]
    return RowBlocks(parts=in_order(found, wanted))


def partition_dataset(store: Store, wanted: Mapping[Place, int]) -> Any:
    """Return a Ray Data dataset of the first rows of partitions, with `COLUMNS`.

    Args:
        store: an open store.
        wanted: rows of each partition, none of them 0.
    """
    import ray

    requests = [{"subset": subset, "split": split, "num_rows": n} for (subset, split), n in wanted.items()]
    return ray.data.from_items(requests, override_num_blocks=len(requests)).map_batches(
        read_partitions, fn_kwargs={"store": store}, batch_size=1, batch_format="pyarrow", num_cpus=READER_CPUS
    )


def read_partitions(requests: Any, *, store: Store) -> Iterator[Any]:
    """Yield the rows that are asked for, about `BLOCK_BYTES` at a time; a task's work of the job.

    Args:
        requests: Arrow table with `subset`, `split` and `num_rows`.
        store: an open store.
    """
    import pyarrow as pa

    for request in requests.to_pylist():
        group: list[Any] = []
        for table in store.read_groups(
            request["subset"], request["split"], num_rows=request["num_rows"], columns=COLUMNS
        ):
            group.append(table)
            if sum(part.nbytes for part in group) >= BLOCK_BYTES:
                yield pa.concat_tables(group)
                group = []
        if group:
            yield pa.concat_tables(group)


def _write_block(table: Any, *, folder: str) -> Any:
    """Write a block as an Arrow file; return where its rows lie."""
    import pyarrow as pa

    path = str(Path(folder) / f"{uuid.uuid4().hex}.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    runs = [
        {"subset": place[0], "split": place[1], "first": first, "num_rows": number, "offset": offset, "block": path}
        for place, first, number, offset in runs_of(table)
    ]
    schema = {"subset": pa.string(), "split": pa.string(), "first": pa.int64(), "num_rows": pa.int64()}
    return pa.Table.from_pylist(runs, pa.schema(schema | {"offset": pa.int64(), "block": pa.string()}))
