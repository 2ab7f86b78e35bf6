"""A subset and split of more than 2 GiB of image bytes; told to Arrow as many views of one small buffer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.errors import StoreError
from datasets_spec.sample import arrow_schema
from datasets_spec.store import export
from datasets_spec.store.export import export_rows
from datasets_spec.store.manifest import StoreManifest
from datasets_spec.store.store import Store
from tests.makers.corpus import subset_lines, write_catalog

NUM_GROUPS, ROWS_A_GROUP = 40, 8
IMAGE = bytes(8 << 20)


def group() -> pa.Table:
    texts = dict.fromkeys(
        ("sample_id", "subset", "split", "question", "answer", "answer_kind", "label", "row_hash"), "x"
    )
    row = {**texts, "order": 0, "options": ["x", "y"], "answer_index": 0, "image_hashes": ["h"], "flags": []}
    rows = pa.Table.from_pylist([row | {"images": []}] * ROWS_A_GROUP, schema=arrow_schema())
    images = pa.array([[IMAGE]] * ROWS_A_GROUP, pa.list_(pa.binary()))
    return rows.set_column(rows.schema.get_field_index("images"), rows.schema.field("images"), images)


@pytest.fixture(scope="module")
def store() -> Store:
    one = group()

    class Large(Store):
        """2.5 GiB of images in 64 MiB of memory."""

        def count(self, subset: str, split: str) -> int:
            return NUM_GROUPS * ROWS_A_GROUP

        def _row_groups(self, subset: str, split: str, wanted: int, columns: list[str]) -> Iterator[Any]:
            for _ in range(-(-wanted // ROWS_A_GROUP)):
                yield one.select(columns)

    names = dict.fromkeys(("catalog_name", "task_map", "fingerprint", "inputs_fingerprint", "generation"), "x")
    return Large(Path("store"), StoreManifest(**names, seed=0, subsets={}))


def test_all_rows_are_read_at_once_and_other_columns_are_whole(store: Store) -> None:
    table = store.read("s", "train")
    assert table.num_rows == NUM_GROUPS * ROWS_A_GROUP
    assert table.schema == arrow_schema()
    assert table.column("images").nbytes > 2**31
    assert table.column("images")[-1].as_py() == [IMAGE]
    chunks = {name: table.column(name).num_chunks for name in table.column_names}
    assert {name for name, num in chunks.items() if num != 1} == {"images"}
    assert store.read("s", "train", num_rows=20).column("images").num_chunks == 1


def test_groups_are_the_same_rows(store: Store) -> None:
    assert [table.num_rows for table in store.read_groups("s", "train", num_rows=20, columns=["order"])] == [8, 8, 4]
    with pytest.raises(StoreError, match="has 320 rows in split 'train', not 321"):
        next(store.read_groups("s", "train", num_rows=321))


def catalog(root: Path) -> Catalog:
    return write_catalog(root, [subset_lines("s", pool=["s.json"])])


def test_an_export_holds_a_part_of_it_at_a_time(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_BYTES_PER_PART", 3 * len(IMAGE))
    assert export_rows(store, catalog(tmp_path), {"s": 8}, tmp_path / "out", "hf") == 8
    parts = sorted((tmp_path / "out" / "data").iterdir())
    assert [pq.read_metadata(part).num_rows for part in parts] == [3, 3, 2]
