"""First step, run by Ray Data: data files -> staged rows, which name their images and have opened none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from datasets_spec.canonical import content_hash, short_hash
from datasets_spec.errors import UserError
from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.prepare.opening.attempts import MAX_ATTEMPTS, begin
from datasets_spec.prepare.staged_rows import staged_table, write_read
from datasets_spec.readers import get_reader
from datasets_spec.sample import QuarantinedRow, QuarantineReason, RawSample
from datasets_spec.storage.place import Place, as_place

if TYPE_CHECKING:
    import pyarrow as pa

# Small enough that two workers share a small file, large enough that a block is worth a task.
ROWS_PER_BLOCK = 256


def read_files(batch: pa.Table, *, sources: Mapping[str, SubsetSource]) -> Iterator[pa.Table]:
    """Reads published files into staged rows; those that the catalog does not ask for say so.

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
                rows.append({**where, **_record_columns(record, source)})
                if len(rows) == ROWS_PER_BLOCK:
                    yield staged_table(rows)
                    rows = []
        except UserError as error:
            # As a row, not as an exception: Ray would retry it and bury it under its own trace.
            rows.append({**where, "index": -1, "failure": str(error)})
    if rows:
        yield staged_table(rows)


def read_and_count(batch: pa.Table, *, sources: Mapping[str, SubsetSource], staging: Place) -> Iterator[pa.Table]:
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


def _record_columns(record: RawSample | QuarantinedRow, source: SubsetSource) -> dict[str, Any]:
    if isinstance(record, QuarantinedRow):
        return {"index": record.index, "reason": record.reason.value, "detail": record.detail}
    not_asked_for = {} if _is_selected(record, source) else {"reason": QuarantineReason.not_selected.value}
    return {
        **not_asked_for,
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
        "groups": _groups(record, source),
        "box": None if record.box is None else list(record.box),
        "mask_path": record.mask_path,
    }


def _is_selected(record: RawSample, source: SubsetSource) -> bool:
    # An open answer may turn out to be a box, once the image is there.
    kinds = ("box", "open") if source.answer_kind == "box" else (source.answer_kind,)
    if source.answer_kind != "any" and record.answer_kind not in kinds:
        return False
    return source.source_pattern is None or bool(re.search(source.source_pattern, record.source or ""))


def _groups(record: RawSample, source: SubsetSource) -> list[str]:
    """Returns hashes, equal for one patient of one namespace: equal data are split alike everywhere.

    Trying ids finds them again, so they stay inside the job; what is stored is keyed (`store/secret.py`).
    """
    found = set() if record.group is None else {record.group}
    if source.group_pattern is not None:
        matches = (re.search(source.group_pattern, path) for path in record.image_paths)
        found.update(match[1] for match in matches if match and match[1])
    return sorted(hashlib.sha256(f"{source.namespace}\0{name}".encode()).hexdigest()[:16] for name in found)


def write_block(table: pa.Table, *, staging: Place) -> pa.Table:
    """Writes a block of rows to the folder of staged rows; one that is read again replaces what it wrote.

    Args:
        table: Rows from :func:`read_files`.
        staging: Folder of staged rows.

    Returns:
        One row: ``num_rows``, how many records the block holds.
    """
    import pyarrow as pa

    first = table.select(["subset", "role", "file", "index", "num_read"]).slice(0, 1).to_pylist()
    write_read(table, staging, short_hash(content_hash([first, table.num_rows])))
    # What is said of a file, its number of records or why it could not be read, has an index of -1.
    return pa.table({"num_rows": [sum(index >= 0 for index in table.column("index").to_pylist())]})
