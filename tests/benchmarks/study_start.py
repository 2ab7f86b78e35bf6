"""What it takes to load a study's rows: seconds, and memory of the driver, from a store of many subsets.

`python -m tests.benchmarks.study_start --rows 400 --needed 200 --files` writes a store of random images and loads the
rows that trials may read into files; without `--files` into Ray's object store. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets_spec.catalog.keys import Key
from datasets_spec.sample import arrow_schema
from datasets_spec.store.manifest import PartFile, StoreManifest, SubsetCounts, write_manifest
from datasets_spec.store.store import Store, open_store
from tests.makers.study_fixture import store_row

GROUP_ROWS = 100  # of a row group, as the store is written


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def written_store(folder: Path, *, num_subsets: int, num_rows: int, image_bytes: int) -> Store:
    """Write training rows of every subset, each with an image that no neighbour shares."""
    counts = {}
    for number in range(num_subsets):
        name = f"subset-{number:02d}"
        path = folder / "data" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, arrow_schema(), write_page_checksum=True, use_dictionary=False) as writer:
            for start in range(0, num_rows, GROUP_ROWS):
                orders = range(start, min(start + GROUP_ROWS, num_rows))
                rows = [store_row(name, "train", order, [os.urandom(image_bytes)]) for order in orders]
                writer.write_table(pa.Table.from_pylist(rows, schema=arrow_schema()))
        part = PartFile(path=str(path.relative_to(folder)), num_rows=num_rows, num_bytes=path.stat().st_size, sha256="")
        counts[name] = SubsetCounts(
            key=Key(modality="CT", area="lung", task="nodule"), read=num_rows, kept=num_rows,
            splits={"train": num_rows}, files={"train": (part,)},
        )  # fmt: skip
    manifest = StoreManifest(
        catalog_name="c", task_map="identity", seed=0, fingerprint="f", inputs_fingerprint="i", generation="g",
        subsets=counts,
    )  # fmt: skip
    write_manifest(folder, manifest)
    return open_store(folder)


def measure(store: Store, needed: int, folder: Path | None) -> dict[str, Any]:
    """Load the first rows of every subset, and look into the last of them."""
    from trainers.rows.row_blocks import load_row_blocks

    wanted = {(name, "train"): needed for name in store.subsets}
    before = _peak_rss_mib()
    started = time.monotonic()
    rows = load_row_blocks(store, wanted, folder=folder)
    loaded_s = time.monotonic() - started
    growth = _peak_rss_mib() - before
    total = sum(part.num_bytes for counts in store.manifest.subsets.values() for part in counts.files["train"])
    last = rows.read(store.subsets[-1], "train", needed).slice(needed - 1, 1).to_pylist()[0]
    assert last["order"] == needed - 1
    return {
        "store_mib": round(total / 2**20), "num_rows": len(wanted) * needed, "loaded_s": round(loaded_s, 1),
        "driver_peak_growth_mib": round(growth), "num_blocks": sum(len(pieces) for pieces in rows.parts.values()),
    }  # fmt: skip


def _peak_rss_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    """Write, load, say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subsets", type=int, default=53)
    parser.add_argument("--rows", type=int, default=120)
    parser.add_argument("--needed", type=int, default=60)
    parser.add_argument("--image-kb", type=int, default=200)
    parser.add_argument("--object-store-gib", type=float, default=0.5)
    parser.add_argument("--files", action="store_true")
    asked = parser.parse_args()

    from cluster.connect import connect, disconnect

    with tempfile.TemporaryDirectory() as scratch:
        sizes = {"num_subsets": asked.subsets, "num_rows": asked.rows, "image_bytes": 1000 * asked.image_kb}
        store = written_store(Path(scratch) / "store", **sizes)
        connect("local", num_cpus=2, dashboard=False, object_store_gib=asked.object_store_gib)
        try:
            found = measure(store, asked.needed, Path(scratch) / "rows" if asked.files else None)
        finally:
            disconnect()
    say(json.dumps(found))


if __name__ == "__main__":
    main()
