"""What reading a staged row by the order of a part costs, by how many there are; both sides in one run.

Run as `python -m tests.benchmarks.staged_rows`. The last line is one JSON object. Sizes are rows of one subset in
blocks of 256, drawn in random order as a plan draws them; times are of the processor. What is compared with is the
reading by a filter over Parquet files, as it was before.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from datasets_spec.canonical import content_hash
from datasets_spec.prepare.read_rows import ROWS_PER_BLOCK
from datasets_spec.prepare.staged_rows import ordered_rows, staged_table, write_staged
from tests.makers.staging import read_staged

NUM_ORDERS = 6
ROWS_AN_ORDER = 512


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--num-rows", type=int, nargs="+", default=[4_000, 16_000, 64_000])
    parser.add_argument("--without-filter", action="store_true", help="measure only what is there now")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    for num_rows in arguments.num_rows:
        with tempfile.TemporaryDirectory() as folder:
            found[str(num_rows)] = measure(Path(folder), num_rows, with_filter=not arguments.without_filter)
    print(json.dumps({**found, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}))  # noqa: T201


def staged_row(index: int) -> dict[str, Any]:
    """A row of Med-MAT's shape and size, its image opened."""
    labels = ["normal", "cyst", "stone", "tumor"]
    hashes = {name: content_hash([name, index]) for name in ("content_hash", "row_hash", "question_key", "answer_key")}
    return {
        "subset": "s",
        "role": "pool",
        "file": "rows.json",
        "index": index,
        "question": "Review this scan and determine the condition.",
        "options": labels,
        "answer": "cyst",
        "answer_index": 1,
        "answer_kind": "closed",
        "label": "cyst",
        "flags": [],
        "groups": [],
        "image_paths": [f"med-mat/CT_Kidney/scans of {index % 997}/Cyst- ({index}).jpg"],
        "image_bytes_hashes": [content_hash(index)],
        "image_hashes": [content_hash(-index)],
        "image_mtimes_ns": [index],
        **hashes,
    }


def measure(folder: Path, num_rows: int, *, with_filter: bool) -> dict[str, float]:
    """Microseconds a row of both ways, over some orders."""
    import pyarrow.parquet as pq

    (folder / "subset=s").mkdir()
    for start in range(0, num_rows, ROWS_PER_BLOCK):
        table = staged_table([staged_row(index) for index in range(start, min(num_rows, start + ROWS_PER_BLOCK))])
        write_staged(table, folder, f"{start // ROWS_PER_BLOCK:06d}")
        if with_filter:
            pq.write_table(table.drop_columns(["subset"]), folder / "subset=s" / f"{start}.parquet")
    rows = list(read_staged(folder, ["index"]))
    rows = random.Random(0).sample(rows, min(num_rows, NUM_ORDERS * ROWS_AN_ORDER))
    orders = [rows[start : start + ROWS_AN_ORDER] for start in range(0, len(rows), ROWS_AN_ORDER)]
    result = {}
    for name, read in [("by_place", by_place), *([("by_filter", by_filter)] if with_filter else [])]:
        start_s = time.process_time()
        num_read = sum(read(folder, order) for order in orders)
        result[name] = round((time.process_time() - start_s) / num_read * 1e6, 1)
    print(f"{num_rows} rows, us of the processor a row: {result}", flush=True)  # noqa: T201
    return result


def by_place(folder: Path, rows: list[dict[str, Any]]) -> int:
    """Reads rows as `prepare` does."""
    places = {"blocks": "block", "offsets": "offset", "indexes": "index"}
    found = ordered_rows(str(folder), {name: [row[column] for row in rows] for name, column in places.items()})
    return sum(row is not None for row in found)


def by_filter(folder: Path, rows: list[dict[str, Any]]) -> int:
    """Reads rows as it did before: every file of the subset, filtered."""
    import pyarrow.dataset as ds

    dataset = ds.dataset(str(folder / "subset=s"), format="parquet")
    wanted = ds.field("index").isin([row["index"] for row in rows]) & ds.field("file").isin(["rows.json"])
    return len({(row["file"], row["index"]): row for row in dataset.to_table(filter=wanted).to_pylist()})


if __name__ == "__main__":
    main()
