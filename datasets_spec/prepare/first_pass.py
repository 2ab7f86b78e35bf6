"""First pass over the data, run by Ray Data: files -> rows -> opened images -> hashes.

No image byte leaves the worker that opened it: a staged row holds text, hashes and file states only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_spec.canonical import content_hash
from datasets_spec.errors import UserError
from datasets_spec.images.decode import decode, hash_of
from datasets_spec.images.files import ABSENT, FileState, file_state, read_image, resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.prepare.box_answers import place_box
from datasets_spec.prepare.contradictions import comparison_keys
from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.prepare.option_order import keeps_published_order, option_order
from datasets_spec.prepare.staged_rows import staged_table
from datasets_spec.readers import get_reader
from datasets_spec.sample import OPEN_ANSWER, Flag, QuarantinedRow, QuarantineReason, RawSample

if TYPE_CHECKING:
    import pyarrow as pa

# Small enough that two workers share a small file's images, large enough that a block is worth a task.
ROWS_PER_BLOCK = 256
# Pixel hashes remembered by a worker: questions about one image stand close together in published files.
NUM_REMEMBERED_IMAGES = 4096


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
        reader = get_reader(sources[item["subset"]].format)
        try:
            for record in reader(Path(item["path"]), subset=item["subset"]):
                rows.append({**where, **_record_columns(record)})
                if len(rows) == ROWS_PER_BLOCK:
                    yield staged_table(rows)
                    rows = []
        except UserError as error:
            # As a row, not as an exception: Ray would retry it and bury it under its own trace.
            rows.append({**where, "index": -1, "failure": str(error)})
    if rows:
        yield staged_table(rows)


def read_and_count(batch: pa.Table, *, sources: Mapping[str, SubsetSource]) -> Iterator[pa.Table]:
    """Reads files as :func:`read_files` does; behind the rows of each comes one that says how many there were.

    Args:
        batch: As for :func:`read_files`.
        sources: Subsets by name.

    Yields:
        Tables of :func:`staging_schema`; the last row of a file has ``num_read`` and stands for no record.
    """
    for position, item in enumerate(batch.to_pylist()):
        num_read = 0
        for table in read_files(batch.slice(position, 1), sources=sources):
            num_read += table.column("failure").null_count
            yield table
        where = {"subset": item["subset"], "role": item["role"], "file": item["file"]}
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


def open_images(table: pa.Table, *, sources: Mapping[str, SubsetSource], seed: int, limits: ImageLimits) -> pa.Table:
    """Opens every image of every row, orders options and computes the hashes.

    Args:
        table: Staged rows from :func:`read_files`.
        sources: Subsets by name.
        seed: Seed of the store.
        limits: What an image may cost.
    """
    rows = table.to_pylist()
    for row in rows:
        if row["num_read"] is None and row["failure"] is None and row["reason"] is None:
            _check_row(row, sources[row["subset"]], seed, limits)
    return staged_table(rows)


def _check_row(row: dict[str, Any], source: SubsetSource, seed: int, limits: ImageLimits) -> None:
    row["groups"] = _groups(row["groups"], row["image_paths"], source)
    if not _is_selected(row, source):
        row.update(reason=QuarantineReason.not_selected.value, detail="")
        return
    opened = [_opened(source.image_root, published, limits) for published in row["image_paths"]]
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
    row["content_hash"] = content_hash([*shared, sorted(row["options"])])
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _OpenedImage:
    state: FileState
    bytes_hash: str = ""
    pixel_hash: str = ""
    looks: tuple[int, ...] = ()
    size: tuple[int, int] = (0, 0)
    reason: str | None = None
    detail: str = ""


def _opened(root: str, published: str, limits: ImageLimits) -> _OpenedImage:
    try:
        path = resolve_beneath(Path(root), published)
    except ImageRefused as error:
        return _OpenedImage(state=ABSENT, reason=error.reason.value, detail=error.detail)
    return _hashed(path, file_state(path), limits)


@lru_cache(maxsize=NUM_REMEMBERED_IMAGES)
def _hashed(path: Path, state: FileState, limits: ImageLimits) -> _OpenedImage:
    from datasets_spec.copies.looks import as_numbers, looks_of

    try:
        data = read_image(path, limits)
        image = decode(data, limits)
    except ImageRefused as error:
        return _OpenedImage(state=state, reason=error.reason.value, detail=error.detail)
    return _OpenedImage(
        state=state,
        bytes_hash=hashlib.sha256(data).hexdigest(),
        pixel_hash=hash_of(image),
        looks=tuple(as_numbers(looks_of(image))),
        size=image.size,
    )
