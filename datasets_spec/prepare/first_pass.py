"""First pass over the data, run by Ray Data: files -> rows -> opened images -> hashes.

No image byte leaves the worker that opened it: a staged row holds text, hashes and file states only.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_spec.canonical import content_hash, short_hash
from datasets_spec.errors import StorageError, UserError
from datasets_spec.images.file_state import FileState
from datasets_spec.images.files import resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.images.objects import read_ahead
from datasets_spec.prepare.box_answers import place_box
from datasets_spec.prepare.contradictions import comparison_keys
from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.prepare.opening.attempts import MAX_ATTEMPTS, begin, num_begun
from datasets_spec.prepare.opening.limited_process import LimitedProcess
from datasets_spec.prepare.opening.open_image import OpenedImage, find_image, open_image
from datasets_spec.prepare.option_order import keeps_published_order, option_order
from datasets_spec.prepare.staged_rows import staged_table, write_staged
from datasets_spec.readers import get_reader
from datasets_spec.sample import OPEN_ANSWER, Flag, QuarantinedRow, QuarantineReason, RawSample
from datasets_spec.storage.place import Place, S3Place, as_place

if TYPE_CHECKING:
    import pyarrow as pa

# Small enough that two workers share a small file's images, large enough that a block is worth a task.
ROWS_PER_BLOCK = 256
# Pixel hashes remembered by a worker: questions about one image stand close together in published files.
NUM_REMEMBERED_IMAGES = 4096
OpenOne = Callable[[Place, FileState], OpenedImage]


def read_files(batch: pa.Table, *, sources: Mapping[str, SubsetSource]) -> Iterator[pa.Table]:
    """Reads published files into staged rows whose images are not opened yet.

    Args:
        batch: One row a file: ``subset``, ``role``, ``file`` (as in the catalog), ``path`` (where it lies).
        sources: Subsets by name.

    Yields:
        Tables of :func:`staging_schema`; a file that cannot be read is one row with ``failure``.
    """
    rows: list[dict[str, Any]] = []
    for item in batch.to_pylist():
        where = {"subset": item["subset"], "role": item["role"], "file": item["file"]}
        source = sources[item["subset"]]
        reader = get_reader(source.format, source.labelled)
        try:
            for record in reader(as_place(item["path"]), subset=item["subset"]):
                rows.append({**where, **_record_columns(record)})
                if len(rows) == ROWS_PER_BLOCK:
                    yield staged_table(rows)
                    rows = []
        except UserError as error:
            # As a row, not as an exception: Ray would retry it and bury it under its own trace.
            rows.append({**where, "index": -1, "failure": str(error)})
    if rows:
        yield staged_table(rows)


def read_and_count(batch: pa.Table, *, sources: Mapping[str, SubsetSource], staging: Path) -> Iterator[pa.Table]:
    """Reads files as :func:`read_files` does; behind the rows of each comes one that says how many there were.

    Args:
        batch: As for :func:`read_files`.
        sources: Subsets by name.
        staging: Folder of staged rows, where attempts are counted.

    Yields:
        Tables of :func:`staging_schema`; the last row of a file has ``num_read`` and stands for no record.
    """
    for position, item in enumerate(batch.to_pylist()):
        num_read = 0
        where = {"subset": item["subset"], "role": item["role"], "file": item["file"]}
        if begin(staging, ["read", *where.values()]) > MAX_ATTEMPTS:
            ended = f"{item['file']}: the process that read it ended {MAX_ATTEMPTS} times; does memory run out?"
            yield staged_table([{**where, "index": -1, "failure": ended}])
            continue
        for table in read_files(batch.slice(position, 1), sources=sources):
            num_read += table.column("failure").null_count
            yield table
        yield staged_table([{**where, "index": -1, "num_read": num_read}])


def _record_columns(record: RawSample | QuarantinedRow) -> dict[str, Any]:
    if isinstance(record, QuarantinedRow):
        return {"index": record.index, "reason": record.reason.value, "detail": record.detail}
    return {
        "index": record.index,
        "question": record.question,
        "options": list(record.options),
        "answer": record.answer,
        "answer_index": record.answer_index,
        "answer_kind": record.answer_kind,
        "label": record.label,
        "source": record.source,
        "flags": list(record.flags),
        "image_paths": list(record.image_paths),
        "groups": [] if record.group is None else [record.group],
        "box": None if record.box is None else list(record.box),
        "mask_path": record.mask_path,
    }


def stage_block(
    table: pa.Table, *, sources: Mapping[str, SubsetSource], seed: int, limits: ImageLimits, staging: Path
) -> pa.Table:
    """Opens every image of a block with :func:`open_images` and writes its rows.

    A block that is opened again, because its process ended or its node was lost, replaces what it wrote.

    Args:
        table: Staged rows from :func:`read_files`.
        sources: Subsets by name.
        seed: Seed of the store.
        limits: What an image may cost.
        staging: Folder of staged rows.

    Returns:
        One row: ``num_rows``, how many records it holds.
    """
    import pyarrow as pa

    opened = open_images(table, sources=sources, seed=seed, limits=limits, staging=staging)
    first = table.select(["subset", "role", "file", "index", "num_read"]).slice(0, 1).to_pylist()
    write_staged(opened, staging, short_hash(content_hash([first, table.num_rows])))
    # What is said of a file, its number of records or why it could not be read, has an index of -1.
    return pa.table({"num_rows": [sum(index >= 0 for index in opened.column("index").to_pylist())]})


def open_images(
    table: pa.Table, *, sources: Mapping[str, SubsetSource], seed: int, limits: ImageLimits, staging: Path
) -> pa.Table:
    """Opens every image of every row, orders options and computes the hashes.

    Rows whose process ended while they were here come back: their images are then opened in a process of their own.

    Args:
        table: Staged rows from :func:`read_files`.
        sources: Subsets by name.
        seed: Seed of the store.
        limits: What an image may cost.
        staging: Folder of staged rows, where attempts are counted.
    """
    rows = table.to_pylist()
    first, last = (f"{row['subset']}/{row['role']}/{row['file']} row {row['index']}" for row in (rows[0], rows[-1]))
    attempt = begin(staging, ["open", first, last, len(rows)])
    # Ray may run reading and opening as one task: then a file that is read again says that one of its blocks ended it.
    files = {(row["subset"], row["role"], row["file"]) for row in rows}
    is_again = attempt > 1 or any(num_begun(staging, ["read", *file]) > 1 for file in files)
    if attempt > MAX_ATTEMPTS:
        rows[0]["failure"] = f"the process that opened the images from {first} to {last} has ended {MAX_ATTEMPTS} times"
        return staged_table(rows)
    try:
        if is_again:
            with LimitedProcess(limits) as process:
                _check_rows(rows, sources, seed, limits, lru_cache(NUM_REMEMBERED_IMAGES)(process.open_image), True)
        else:
            with read_ahead(_places(rows, sources), limits):
                _check_rows(rows, sources, seed, limits, partial(_remembered, limits=limits), False)
    except StorageError as error:
        rows[0]["failure"] = f"node {platform.node()}: {error}"
    return staged_table(rows)


def _places(rows: Sequence[dict[str, Any]], sources: Mapping[str, SubsetSource]) -> Iterator[Place]:
    """Objects of buckets that are images of rows, in the order in which they are opened."""
    roots = {name: as_place(source.image_root) for name, source in sources.items()}
    for row in (row for row in rows if isinstance(roots[row["subset"]], S3Place)):
        for published in row["image_paths"] or ():
            with suppress(ImageRefused):
                yield resolve_beneath(roots[row["subset"]], published)


def _check_rows(
    rows: Sequence[dict[str, Any]],
    sources: Mapping[str, SubsetSource],
    seed: int,
    limits: ImageLimits,
    open_one: OpenOne,
    is_careful: bool,
) -> None:
    for row in rows:
        if row["num_read"] is None and row["failure"] is None and row["reason"] is None:
            source = sources[row["subset"]]
            if is_careful and row["mask_path"] is not None:
                mask = _opened(source.image_root, row["mask_path"], open_one)
                if mask.reason is not None:
                    row.update(reason=mask.reason, detail=f"mask {mask.detail}".rstrip())
                    continue
            _check_row(row, source, seed, limits, open_one)


def _check_row(row: dict[str, Any], source: SubsetSource, seed: int, limits: ImageLimits, open_one: OpenOne) -> None:
    row["groups"] = _groups(row["groups"], row["image_paths"], source)
    if not _is_selected(row, source):
        row.update(reason=QuarantineReason.not_selected.value, detail="")
        return
    opened = [_opened(source.image_root, published, open_one) for published in row["image_paths"]]
    row["image_num_bytes"] = [image.state.num_bytes for image in opened]
    row["image_mtimes_ns"] = [image.state.mtime_ns for image in opened]
    refused = [(i, image) for i, image in enumerate(opened) if image.reason is not None]
    if refused:
        position, image = refused[0]
        row.update(reason=image.reason, detail=f"image {position + 1} of {len(opened)} {image.detail}".rstrip())
        return
    row["image_bytes_hashes"] = [image.bytes_hash for image in opened]
    row["image_hashes"] = [image.pixel_hash for image in opened]
    row["image_looks"] = [image.looks for image in opened]
    try:
        place_box(row, [image.size for image in opened], source, limits)
    except ImageRefused as error:
        row.update(reason=error.reason.value, detail=error.detail)
        return
    _order_options(row, seed)
    shared = [row["question"], row["answer"], row["answer_kind"], row["image_hashes"]]
    # How a made question is put, and which options were drawn, makes no other row of the same image and class.
    row["content_hash"] = content_hash(shared[1:] if source.labelled else [*shared, sorted(row["options"])])
    row["row_hash"] = content_hash([*shared, row["options"], row["answer_index"]])
    row.update(comparison_keys(row))


def _is_selected(row: dict[str, Any], source: SubsetSource) -> bool:
    # An open answer may turn out to be a box, once the image is there.
    kinds = ("box", "open") if source.answer_kind == "box" else (source.answer_kind,)
    if source.answer_kind != "any" and row["answer_kind"] not in kinds:
        return False
    return source.source_pattern is None or bool(re.search(source.source_pattern, row["source"] or ""))


def _order_options(row: dict[str, Any], seed: int) -> None:
    if row["answer_index"] == OPEN_ANSWER:
        return
    options = row["options"]
    if keeps_published_order(options):
        row["flags"] = [*row["flags"], Flag.published_option_order.value]
    order = option_order(seed, row["question"], options, row["image_hashes"])
    row["options"] = [options[index] for index in order]
    row["answer_index"] = order.index(row["answer_index"])


def _groups(known: list[str], paths: list[str], source: SubsetSource) -> list[str]:
    """Returns hashes, equal for one patient of one namespace: equal data are split alike everywhere.

    Trying ids finds them again, so they stay inside the job; what is stored is keyed (`store/secret.py`).
    """
    found = set(known)
    if source.group_pattern is not None:
        matches = (re.search(source.group_pattern, path) for path in paths)
        found.update(match[1] for match in matches if match and match[1])
    return sorted(hashlib.sha256(f"{source.namespace}\0{name}".encode()).hexdigest()[:16] for name in found)


def _opened(root: str, published: str, open_one: OpenOne) -> OpenedImage:
    found = find_image(root, published)
    return found if isinstance(found, OpenedImage) else open_one(*found)


@lru_cache(maxsize=NUM_REMEMBERED_IMAGES)
def _remembered(path: Place, state: FileState, limits: ImageLimits) -> OpenedImage:
    return open_image(path, state, limits)
