"""A store of any size over a few images: row tables as preparing writes them, with places in one pack."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets_spec.catalog.keys import Key
from datasets_spec.packs.pack_writer import PACKS, Extent, PackFile, PackWriter
from datasets_spec.sample import PLACE_FIELDS, SPLITS, rows_schema
from datasets_spec.store.manifest import PartFile, StoreManifest, SubsetCounts, write_manifest
from datasets_spec.store.store import Store, open_store

KEY = Key(modality="CT", area="lung", task="nodule")
# Rows of a real store's part, of about this length each (question, options and answer of Med-MAT's multiple choice).
PART_ROWS = 20_000
QUESTION = "Which of the following findings does this image of the chest show most clearly, if any of them at all?"
OPTIONS = ["no finding", "pulmonary nodule", "pleural effusion", "pneumothorax"]


def packed_store(
    folder: Path,
    rows: Mapping[str, Mapping[str, int]],
    images: Sequence[bytes],
    *,
    keys: Mapping[str, Key] | None = None,
) -> Store:
    """Write the rows of every subset and split, one image each, and open the store.

    Args:
        folder: of the store.
        rows: number by subset and split.
        images: encoded; row i of a partition shows image i of them, and begins again after the last.
        keys: of subsets; by default all have one.
    """
    pack, places = _write_pack(folder, images)
    counts = {}
    for name, splits in rows.items():
        parts = {split: _write_parts(folder, name, split, number, places) for split, number in splits.items()}
        counts[name] = SubsetCounts(
            key=(keys or {}).get(name, KEY),
            read=sum(splits.values()),
            kept=sum(splits.values()),
            splits=dict(splits),
            partition_fingerprints={split: f"{name}/{split}" for split in SPLITS},
            files=parts,
        )
    manifest = StoreManifest(
        catalog_name="c", task_map="identity", seed=0, fingerprint="f", inputs_fingerprint="i", generation="g",
        subsets=counts, packs=(pack,),
    )  # fmt: skip
    write_manifest(folder, manifest)
    return open_store(folder)


def _write_pack(folder: Path, images: Sequence[bytes]) -> tuple[PackFile, list[Extent]]:
    (folder / PACKS).mkdir(parents=True)
    with PackWriter(folder / PACKS) as writer:
        places = [writer.append(hashlib.sha256(image).hexdigest(), image) for image in images]
        pack = writer.finish()
    assert pack is not None
    return pack, places


def _write_parts(folder: Path, name: str, split: str, num_rows: int, places: Sequence[Extent]) -> tuple[PartFile, ...]:
    found = []
    for first in range(0, num_rows, PART_ROWS):
        path = folder / "data" / f"{name}-{split}-{first // PART_ROWS:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = part_table(name, split, range(first, min(first + PART_ROWS, num_rows)), places)
        pq.write_table(table, path, write_page_checksum=True)
        size = path.stat().st_size
        found.append(PartFile(path=str(path.relative_to(folder)), num_rows=table.num_rows, num_bytes=size, sha256=""))
    return tuple(found)


def part_table(name: str, split: str, orders: range, places: Sequence[Extent]) -> pa.Table:
    """Rows of a partition, without a Python object for each but their names."""
    schema, number = rows_schema(), len(orders)
    samples = [f"{name}/{split}#{order}" for order in orders]
    order = np.arange(orders.start, orders.stop)
    place = np.array([(0, *p) for p in places], dtype=np.int64)[order % len(places)]
    structs = pa.StructArray.from_arrays(
        [pa.array(place[:, i]) for i in range(len(PLACE_FIELDS))], names=list(PLACE_FIELDS)
    )
    answer = order % len(OPTIONS)
    values: dict[str, Any] = {
        "sample_id": samples,
        "order": order,
        "answer": np.array(OPTIONS)[answer].tolist(),
        "answer_index": answer.astype(np.int32),
        "label": np.array(OPTIONS)[answer].tolist(),
        "options": [OPTIONS] * number,
        "places": pa.ListArray.from_arrays(np.arange(number + 1, dtype=np.int32), structs),
        "image_hashes": [["0" * 64]] * number,
        "row_hash": [hashlib.sha256(sample.encode()).hexdigest() for sample in samples],
        "flags": [[]] * number,
        "group": pa.nulls(number, pa.string()),
    }
    same = {"subset": name, "split": split, "question": QUESTION, "answer_kind": "closed"}
    values |= {column: [text] * number for column, text in same.items()}
    columns = [
        v.cast(field.type) if isinstance(v := values[field.name], pa.Array) else pa.array(v, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
