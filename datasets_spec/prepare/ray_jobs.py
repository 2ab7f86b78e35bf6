"""What Ray does to prepare a store: one Ray Data job that reads files, then tasks; the caller is connected.

A pipeline costs seconds to start on a laptop, and only the first step has work whose size nobody knows. Between the
steps all rows are looked at together. Nothing is shuffled, and no image byte passes through the object store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from datasets_spec.copies.chunks import ComparedChunk, PairChunk, compare_chunk
from datasets_spec.errors import UserError
from datasets_spec.prepare.inputs import DataFile, SubsetSource
from datasets_spec.prepare.opening.attempts import MAX_ATTEMPTS
from datasets_spec.prepare.read_rows import ROWS_PER_BLOCK, read_and_count, write_block
from datasets_spec.prepare.write_rows import order_table, require_parts, write_parts
from datasets_spec.splits.row_plan import RowPlan
from datasets_spec.storage.place import Place

if TYPE_CHECKING:
    import pyarrow as pa

# More tasks than this only add scheduling: a block of several small files is one task.
MAX_BLOCKS = 200
# Pieces of work handed out at once: enough for any machine, without all of them in the object store.
MAX_RUNNING = 256
Order = TypeVar("Order")
Result = TypeVar("Result")


@contextmanager
def _quiet_context() -> Iterator[None]:
    """Sets what the job needs and puts back what was there."""
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


def read_all_rows(
    files: Sequence[DataFile],
    sources: dict[str, SubsetSource],
    staging: Place,
    *,
    on_rows: Callable[[int], None],
) -> None:
    """First step: reads files, writes rows block by block.

    Args:
        files: The data files.
        sources: Subsets by name.
        staging: Folder to write to.
        on_rows: Told how many more rows are read.
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
            write_block, batch_size=None, batch_format="pyarrow", fn_kwargs={"staging": staging.absolute()}
        )
        for staged in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
            on_rows(sum(staged.column("num_rows").to_pylist()))


def store_rows(
    plan: RowPlan, staging: Place, generation: Place, *, secret_path: Place, on_rows: Callable[[int], None]
) -> list[dict[str, Any]]:
    """Last step: writes the planned rows as Parquet parts.

    Args:
        plan: What to write.
        staging: Folder of staged rows.
        generation: Folder to write beneath.
        secret_path: The store's secret; workers read it there, so that it passes through no object store.
        on_rows: Told how many more rows are written.

    Returns:
        One mapping a part, as :func:`write_rows.write_parts` returns them, sorted by path.

    Raises:
        StoreError: Staged rows were not seen, or not every part is in the folder.
    """
    import pyarrow as pa

    tables = [order_table(subset, split, rows) for (subset, split), rows in plan.partitions.items()]
    if not tables:
        return []
    places = {"staging": staging, "generation": generation, "secret_path": secret_path}
    write = partial(write_parts, **{name: str(place.absolute()) for name, place in places.items()})

    def told(written: pa.Table) -> None:
        on_rows(sum(written.column("num_rows").drop_null().to_pylist()))

    parts = pa.concat_tables(side_by_side(write, _blocks(pa.concat_tables(tables)), told)).to_pylist()
    require_parts(tables, parts, generation)
    return sorted(parts, key=lambda part: str(part["path"]))


def compare_pairs(chunks: Sequence[PairChunk]) -> list[ComparedChunk]:
    """Compares pairs of images by their pixels, chunks side by side; a few are not worth a process.

    Args:
        chunks: The pairs.
    """
    return [compare_chunk(chunk) for chunk in chunks] if len(chunks) < 2 else side_by_side(compare_chunk, chunks)


def side_by_side(
    work: Callable[[Order], Result], orders: Sequence[Order], on_done: Callable[[Result], None] | None = None
) -> list[Result]:
    """Does pieces of work as tasks of one processor each, on all nodes.

    A piece whose process ended is begun again some times; it must count its attempts itself if it may end it always.

    Args:
        work: Does one piece.
        orders: The pieces.
        on_done: Told every result, in the order they come.

    Returns:
        The results, in the order of the pieces.

    Raises:
        UserError: As a piece of work raised it.
    """
    import ray

    # One attempt more than is counted, so that the piece of work can say itself that it was tried in vain.
    task = ray.remote(num_cpus=1, max_retries=MAX_ATTEMPTS + 1, scheduling_strategy="SPREAD")(_do)
    given = ray.put(work)
    done: dict[int, Result] = {}
    running: dict[Any, int] = {}
    waiting = iter(enumerate(orders))
    while len(done) < len(orders):
        for number, order in waiting:
            running[task.remote(given, order)] = number
            if len(running) >= MAX_RUNNING:
                break
        (ready,), _ = ray.wait(list(running), num_returns=1)
        number = running.pop(ready)
        try:
            done[number] = ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):  # said in words; Ray's trace says nothing more
                raise error.cause from None
            raise
        if on_done is not None:
            on_done(done[number])
    return [done[number] for number in range(len(orders))]


def _do(work: Callable[[Order], Result], order: Order) -> Result:
    return work(order)


def _blocks(table: pa.Table) -> list[pa.Table]:
    rows_per_block = -(-table.num_rows // MAX_BLOCKS)
    return [table.slice(start, rows_per_block) for start in range(0, table.num_rows, rows_per_block)]
