"""A store in a bucket of a real S3 server is the store that a disk holds: same rows, opened once, one builder."""

from __future__ import annotations

import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.copies.known_pairs import KNOWN_PAIRS_NAME
from datasets_spec.errors import StorageError
from datasets_spec.packs.pack_writer import PACKS
from datasets_spec.packs.unused import remove_unfinished
from datasets_spec.prepare import build_store as building
from datasets_spec.prepare import prepare_store as preparing
from datasets_spec.prepare.build_store import STAGING
from datasets_spec.prepare.prepare_store import PreparedStore, prepare_store
from datasets_spec.storage.files import files_in, put, sizes_below
from datasets_spec.storage.new_file import new_file
from datasets_spec.storage.place import Place, S3Place
from datasets_spec.store.export import export_rows
from datasets_spec.store.generations import GENERATIONS, collect_garbage
from datasets_spec.store.lock import Hold
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


def lost() -> None:
    raise StorageError("the lock was lost")


def test_an_owner_that_slept_removes_nothing_of_its_successors(root: S3Place) -> None:
    for name in ("0000000001-a", "0000000002-b"):
        put(root / GENERATIONS / name / STAGING / "block", b"1")
    with pytest.raises(StorageError, match="lost"):
        preparing._remove_left_staging(root, Hold(fence=3, require=lost))
    assert len(sizes_below(root / GENERATIONS)) == 2
    preparing._remove_left_staging(root, Hold(fence=2))
    assert list(sizes_below(root / GENERATIONS)) == [f"0000000002-b/{STAGING}/block"]
    upload = new_file(root / PACKS / "next")
    upload.write(bytes(17 << 20))
    with pytest.raises(StorageError, match="lost"):
        remove_unfinished(root, lost)
    upload.publish()


def test_an_owner_that_slept_replaces_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalog: Catalog
) -> None:
    """The two that carry no number, by which a successor's would count."""
    monkeypatch.setattr(building, "known_patients", Mock(return_value={}))
    monkeypatch.setattr(building, "group_copies", Mock(return_value=SimpleNamespace(compared=[])))
    order: Any = SimpleNamespace(
        catalog=catalog, store_dir=tmp_path, generation=tmp_path / GENERATIONS / "a", limits=None, tell=print
    )
    with pytest.raises(StorageError, match="lost"):
        building._find_copies(order, Mock(), Hold(require=lost))
    assert not (tmp_path / KNOWN_PAIRS_NAME).exists()

    looks: list[Any] = []
    monkeypatch.setattr(preparing, "build_store", Mock(return_value=(Mock(), Mock())))
    monkeypatch.setattr(preparing, "_require_packs", lambda *given: looks.append(given))
    monkeypatch.setattr(preparing, "write_quarantine", Mock(side_effect=AssertionError("written")))
    # It sleeps while it looks whether its packs are there.
    hold = Hold(require=lambda: lost() if looks else None)
    with pytest.raises(StorageError, match="lost"):
        preparing._built(order, None, hold)
    assert looks


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
