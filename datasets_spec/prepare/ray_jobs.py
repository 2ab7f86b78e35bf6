"""The two Ray Data jobs that prepare a store, and the comparison of pairs between them; the caller is connected to Ray.

Two, because a pipeline costs seconds to start on a laptop, and because between them splits and orders are
decided from all rows at once. Neither shuffles, and no image byte passes through the object store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_spec.copies.chunks import ComparedChunk, PairChunk, compare_chunk
from datasets_spec.images.limits import ImageLimits
from datasets_spec.prepare.first_pass import ROWS_PER_BLOCK, read_and_count, stage_block
from datasets_spec.prepare.inputs import DataFile, SubsetSource
from datasets_spec.prepare.second_pass import order_table, require_parts, write_parts
from datasets_spec.splits.row_plan import RowPlan

if TYPE_CHECKING:
    import pyarrow as pa

# More tasks than this only add scheduling: a block of several small files is one task.
MAX_BLOCKS = 200
# Chunks of pairs handed out at once: enough for any machine, without all of them in the object store.
MAX_RUNNING_CHUNKS = 256


@contextmanager
def _quiet_context() -> Iterator[None]:
    """Sets what both jobs need and puts back what was there."""
    from ray.data import DataContext

    context = DataContext.get_current()
    before = (
        context.enable_progress_bars,
        context.print_on_execution_start,
        context.execution_options.preserve_order,
    )
    logger = logging.getLogger("ray.data")
    level = logger.level
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    logger.setLevel(logging.CRITICAL)  # what fails is raised, and said by us
    try:
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start = before[:2]
        context.execution_options.preserve_order = before[2]
        logger.setLevel(level)


def stage_rows(
    files: Sequence[DataFile],
    sources: dict[str, SubsetSource],
    staging: Path,
    *,
    seed: int,
    limits: ImageLimits,
    on_rows: Callable[[int], None],
) -> None:
    """First job: reads files, opens images, writes staged rows block by block.

    Args:
        files: The data files.
        sources: Subsets by name.
        staging: Folder to write to.
        seed: Seed of the store.
        limits: What an image may cost.
        on_rows: Told how many more rows are staged.
    """
    import pyarrow as pa
    import ray.data

    columns = {name: [getattr(item, name) for item in files] for name in ("subset", "role", "file")}
    table = pa.table({**columns, "path": [str(item.path.absolute()) for item in files]})
    with _quiet_context():
        dataset = ray.data.from_arrow(_blocks(table))
        dataset = dataset.map_batches(
            read_and_count,
            batch_size=1,
            batch_format="pyarrow",
            fn_kwargs={"sources": sources, "staging": staging.absolute()},
        )
        dataset = dataset.repartition(target_num_rows_per_block=ROWS_PER_BLOCK)
        dataset = dataset.map_batches(
            stage_block,
            batch_size=None,
            batch_format="pyarrow",
            fn_kwargs={"sources": sources, "seed": seed, "limits": limits, "staging": staging.absolute()},
        )
        for staged in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
            on_rows(sum(staged.column("num_rows").to_pylist()))


def store_rows(
    plan: RowPlan,
    sources: dict[str, SubsetSource],
    staging: Path,
    generation: Path,
    *,
    limits: ImageLimits,
    secret_path: Path,
    on_rows: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Second job: writes the planned rows with their images as Parquet parts.

    Args:
        plan: What to write.
        sources: Subsets by name.
        staging: Folder of staged rows.
        generation: Folder to write beneath.
        limits: What an image may cost.
        secret_path: The store's secret; workers read it there, so that it passes through no object store.
        on_rows: Told how many more rows are written.

    Returns:
        One mapping a part, as :func:`second_pass.write_parts` returns them, sorted by path.

    Raises:
        StoreError: An image changed meanwhile, or not every part is in the folder.
    """
    import pyarrow as pa
    import ray.data

    tables = [order_table(subset, split, rows) for (subset, split), rows in plan.partitions.items()]
    if not tables:
        return []
    with _quiet_context():
        dataset = ray.data.from_arrow(_blocks(pa.concat_tables(tables))).map_batches(
            write_parts,
            batch_size=None,
            batch_format="pyarrow",
            fn_kwargs={
                "staging": str(staging.absolute()),
                "generation": str(generation.absolute()),
                "sources": sources,
                "limits": limits,
                "secret_path": str(secret_path.absolute()),
            },
        )
        parts: list[dict[str, Any]] = []
        for written in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
            parts += written.to_pylist()
            on_rows(sum(written.column("num_rows").drop_null().to_pylist()))
    require_parts(tables, parts, generation)
    return sorted(parts, key=lambda part: str(part["path"]))


def compare_pairs(chunks: Sequence[PairChunk]) -> list[ComparedChunk]:
    """Compares pairs of images by their pixels, chunks side by side; a few are not worth a process.

    Args:
        chunks: The pairs.
    """
    if len(chunks) < 2:
        return [compare_chunk(chunk) for chunk in chunks]
    import ray

    task = ray.remote(num_cpus=1)(compare_chunk)
    waiting, done = list(enumerate(chunks)), {}
    running: dict[Any, int] = {}
    while waiting or running:
        while waiting and len(running) < MAX_RUNNING_CHUNKS:
            number, chunk = waiting.pop(0)
            running[task.remote(chunk)] = number
        ready, _ = ray.wait(list(running), num_returns=1)
        for reference in ready:
            done[running.pop(reference)] = ray.get(reference)
    return [done[number] for number in range(len(chunks))]


def _blocks(table: pa.Table) -> list[pa.Table]:
    rows_per_block = -(-table.num_rows // MAX_BLOCKS)
    return [table.slice(start, rows_per_block) for start in range(0, table.num_rows, rows_per_block)]
