"""A store in a bucket of a real S3 server is the store that a disk holds: same rows, opened once, one builder."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.prepare.prepare_store import PreparedStore, prepare_store
from datasets_spec.storage.files import files_in, sizes_below
from datasets_spec.storage.place import Place, S3Place
from datasets_spec.store.export import export_rows
from datasets_spec.store.generations import GENERATIONS, collect_garbage
from datasets_spec.store.manifest import MANIFESTS
from datasets_spec.store.store import open_store
from tests.makers.corpus import mat_pool, subset_lines, write_catalog, write_json
from tests.makers.s3_server import S3Server

NUM_ROWS = 40


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    records = mat_pool(tmp_path, "pool", NUM_ROWS, first=0)
    records[5]["image"] = "pool/absent.png"
    write_json(tmp_path / "pool.json", records)
    return write_catalog(tmp_path, [subset_lines("pool", pool=["pool.json"])])


@pytest.fixture
def root(s3: S3Server) -> S3Place:
    return S3Place(s3.bucket, f"store-{uuid.uuid4().hex}")


def prepared(catalog: Catalog, store_dir: Place, **changes: Any) -> tuple[PreparedStore, str]:
    """Prepares and returns what was said of images."""
    told: list[str] = []
    result = prepare_store(catalog, store_dir, on_event=told.append, quarantine_limit=0.5, **changes)
    return result, next((text for text in told if text.endswith(" images")), "")


@pytest.mark.ray
def test_a_bucket_holds_the_store_that_a_disk_holds(
    tmp_path: Path, local_ray: None, catalog: Catalog, root: S3Place
) -> None:
    local, remote = (prepared(catalog, place)[0].manifest for place in (tmp_path / "store", root))
    assert remote.fingerprint == local.fingerprint
    assert remote.subsets["pool"].partition_fingerprints == local.subsets["pool"].partition_fingerprints
    assert remote.subsets["pool"].quarantined == {"missing_image": 1}
    with open_store(tmp_path / "store") as one, open_store(root) as other:
        for split in ("train", "search"):
            tables = [store.read("pool", split).drop_columns(["group"]) for store in (one, other)]
            assert tables[0].equals(tables[1])
        assert other.verify() == other.num_files
        num = other.count("pool", "train")
        assert export_rows(other, catalog, {"pool": num}, tmp_path / "out", "llava") == num
    assert files_in(root / "generations" / remote.generation.rpartition("/")[2]).keys() == {
        *("images.parquet", "packs.txt", "rows.parquet", "tied_rows.parquet")
    }

    again, told = prepared(catalog, root, check_hashes=True)
    assert again.was_current
    other_seed, told = prepared(catalog, root, seed=1)
    assert told == f"{NUM_ROWS - 1} of {NUM_ROWS} images are known from before; opening 1 images"
    assert other_seed.manifest.packs == remote.packs
    # Nobody read the first, so it went with its manifest; what nothing names went, too.
    assert {path.partition("/")[0] for path in sizes_below(root / GENERATIONS)} == {
        other_seed.manifest.generation.rpartition("/")[2]
    }
    assert len(files_in(root / MANIFESTS)) == 1
    assert collect_garbage(root).num_bytes == 0
