"""Making a small store again: what is rebuilt, what is refused, and what an interruption leaves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_spec.catalog.catalog import Catalog, load_catalog
from datasets_spec.check.check import check_store
from datasets_spec.errors import LeakageError, MissingImagesError, ReaderError, StoreError
from datasets_spec.prepare import ray_jobs
from datasets_spec.prepare.inputs import IMAGES_NAME
from datasets_spec.prepare.prepare_store import prepare_store
from datasets_spec.store.generations import collect_garbage
from datasets_spec.store.lock import locked
from datasets_spec.store.store import ROWS_NAME, open_store
from datasets_spec.store.tied_rows import TIED_ROWS_NAME
from tests.makers.corpus import mat_pool, mat_record, save_picture, subset_lines, write_catalog, write_json
from tests.makers.on_disk import part_paths
from tests.makers.syncs import record_syncs

pytestmark = pytest.mark.ray


def small(root: Path) -> Catalog:
    write_json(root / "a.json", mat_pool(root, "a", 40, first=0))
    write_json(root / "b.json", mat_pool(root, "b", 40, first=500))
    # A name that reads as a number, alone, so that nothing tells Parquet readers that it is text.
    return write_catalog(root, [subset_lines("02", pool=["a.json", "b.json"])])


def test_rebuilding_is_needed_exactly_when_something_changed(tmp_path: Path, local_ray: None) -> None:
    catalog = small(tmp_path)
    first = prepare_store(catalog, tmp_path / "store")
    # The same content in other files, listed in another order, is the same store.
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "images", moved / "images")
    shutil.copy(tmp_path / "a.json", moved / "z.json")
    shutil.copy(tmp_path / "b.json", moved / "y.json")
    other = write_catalog(moved, [subset_lines("02", pool=["z.json", "y.json"])])
    assert prepare_store(other, moved / "store").manifest.fingerprint == first.manifest.fingerprint
    # A changed image is noticed although no JSON file changed, and the old generation goes.
    save_picture(tmp_path / "images" / "a" / "p3" / "im (3).png", 4000)
    second = prepare_store(catalog, tmp_path / "store")
    assert not second.was_current
    assert second.manifest.fingerprint != first.manifest.fingerprint
    assert [path.name for path in (tmp_path / "store" / "generations").iterdir()] == [
        second.manifest.generation.removeprefix("generations/")
    ]
    # Another seed gives another store; a damaged one is rebuilt.
    (tmp_path / "store" / "manifest.json").write_text("{")
    third = prepare_store(catalog, tmp_path / "store", seed=1)
    assert third.manifest.fingerprint != second.manifest.fingerprint
    # Two packs, of the first preparation and of the changed image, and four parts.
    assert open_store(tmp_path / "store").verify() == 6


def test_a_damaged_part_is_written_again_and_all_is_on_the_disk_before_it_is_announced(
    tmp_path: Path, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = small(tmp_path)
    told: list[str] = []
    first = prepare_store(catalog, tmp_path / "store").manifest
    path = part_paths(open_store(tmp_path / "store"), "02", "train")[0]
    data = path.read_bytes()
    path.write_bytes(data[:200] + bytes([data[200] ^ 4]) + data[201:])
    # A study looks at sizes only; its reads meet the checksums of pages.
    assert prepare_store(catalog, tmp_path / "store").was_current
    synced = record_syncs(monkeypatch)
    again = prepare_store(catalog, tmp_path / "store", check_hashes=True, on_event=told.append)
    assert not again.was_current
    assert again.manifest.fingerprint == first.fingerprint
    assert told[0].startswith("1 files of the store are damaged, the first ")
    assert told[-1].endswith(", the same rows as before")
    assert open_store(tmp_path / "store").verify() == 5
    assert prepare_store(catalog, tmp_path / "store", check_hashes=True).was_current
    generation = tmp_path / "store" / again.manifest.generation
    folders = [folder for folder in (generation, *generation.rglob("*")) if folder.is_dir()]
    before = synced[: next(place for place, name in enumerate(synced) if ".manifest.json" in name)]
    for needed in (*folders, generation.parent):
        assert str(needed) in before
    for name in (ROWS_NAME, IMAGES_NAME, TIED_ROWS_NAME):  # before each gets its name
        assert f"{generation}/.{name}.{os.getpid()}" in before


def test_a_rebuild_leaves_the_rows_that_an_open_store_reads(tmp_path: Path, local_ray: None) -> None:
    catalog = small(tmp_path)
    told: list[str] = []
    prepare_store(catalog, tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        before = store.read("02", "train")
        other = prepare_store(catalog, tmp_path / "store", seed=1, on_event=told.append).manifest
        assert other.fingerprint != store.fingerprint
        name = store.manifest.generation.removeprefix("generations/")
        assert f"a running study reads them: {name}. Later: recombine data gc STUDY" in told[-1]
        assert store.read("02", "train").equals(before)
        assert store.verify() == 5
        assert [old.name for old in collect_garbage(tmp_path / "store").held] == [name]
    assert [old.name for old in collect_garbage(tmp_path / "store").removed] == [name]
    assert open_store(tmp_path / "store").manifest == other


def test_a_refused_preparation_leaves_the_old_store_whole(tmp_path: Path, local_ray: None) -> None:
    catalog = small(tmp_path)
    before = prepare_store(catalog, tmp_path / "store").manifest
    shutil.rmtree(tmp_path / "images" / "a")
    with pytest.raises(MissingImagesError, match=r"(?s)02: 40 of 80 .*02: a.json row 0\n"):
        prepare_store(catalog, tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert store.manifest == before
    assert store.verify() == 5
    assert len(list((tmp_path / "store" / "generations").iterdir())) == 1


def test_a_block_that_is_lost_stops_the_preparation(
    tmp_path: Path, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_and_lose(*args: Any, **kwargs: Any) -> None:
        read_all_rows(*args, **kwargs)
        staging = args[2]
        max(staging.glob("*.read"), key=lambda path: path.stat().st_size).unlink()

    catalog, read_all_rows = small(tmp_path), ray_jobs.read_all_rows
    monkeypatch.setattr(ray_jobs, "read_all_rows", read_and_lose)
    with pytest.raises(StoreError, match=r"(?s)rows were read and are not in .*02: [ab].json: "):
        prepare_store(catalog, tmp_path / "store")
    assert not list((tmp_path / "store" / "generations").iterdir())
    assert not (tmp_path / "store" / "manifest.json").exists()


def test_files_that_cannot_be_read_are_all_named(tmp_path: Path, local_ray: None) -> None:
    small(tmp_path)
    (tmp_path / "a.json").write_text('[{"a": 1}')
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(ReaderError, match=r"(?s)a.json:1:10.*b.json holds one JSON dict"):
        prepare_store(load_catalog(tmp_path / "catalog.yaml"), tmp_path / "store")


def test_an_empty_file_makes_an_empty_subset(tmp_path: Path, local_ray: None) -> None:
    (tmp_path / "images").mkdir()
    write_json(tmp_path / "a.json", [])
    catalog = write_catalog(tmp_path, [subset_lines("s", pool=["a.json"])])
    prepare_store(catalog, tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert store.read("s", "train").num_rows == store.count("s", "train") == 0
    assert prepare_store(catalog, tmp_path / "store").was_current


def test_what_is_declared_and_absent_is_named_before_ray_is_asked(tmp_path: Path) -> None:
    catalog = small(tmp_path)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(MissingImagesError, match="image folders that are not there"):
        prepare_store(catalog, tmp_path / "store")
    (tmp_path / "a.json").unlink()
    (tmp_path / "b.json").unlink()
    with pytest.raises(ReaderError, match=r"(?s)2 data files .*a.json.*b.json"):
        prepare_store(catalog, tmp_path / "store")


def test_two_preparations_of_one_store_exclude_each_other(tmp_path: Path) -> None:
    catalog = small(tmp_path)
    with locked(tmp_path / "store"), pytest.raises(StoreError, match="another process"):
        prepare_store(catalog, tmp_path / "store")


def test_a_leak_that_the_catalog_keeps_must_be_fixed(tmp_path: Path, local_ray: None) -> None:
    pool = mat_pool(tmp_path, "pool", 30, first=0)
    save_picture(tmp_path / "images" / "copy.png", 3)
    write_json(tmp_path / "pool.json", pool)
    write_json(tmp_path / "test.json", [mat_record(0, "copy.png", 0)])
    subsets = [subset_lines("pool", pool=["pool.json"]), subset_lines("test", test=["test.json"])]
    off = dict.fromkeys(("bytes", "pixels", "near", "group"), "warn")
    catalog = write_catalog(tmp_path, subsets, leakage=off)
    prepare_store(catalog, tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert store.manifest.subsets["pool"].kept == 30
    (problem,) = check_store(store, catalog, sources=["pool"], eval_sets=[]).must_fix
    assert "show what test ('sealed') shows (bytes)" in problem.text
    refusing = write_catalog(tmp_path, subsets, leakage={**off, "bytes": "refuse"})
    with pytest.raises(LeakageError, match="bytes: 1 rows of pool"):
        prepare_store(refusing, tmp_path / "store")
    prepare_store(write_catalog(tmp_path, subsets), tmp_path / "store")
    assert open_store(tmp_path / "store").manifest.subsets["pool"].kept == 29


def test_subsets_whose_files_are_absent_are_left_out_and_said(tmp_path: Path, local_ray: None) -> None:
    write_json(tmp_path / "here.json", mat_pool(tmp_path, "here", 12, first=0))
    subsets = [subset_lines("here", pool=["here.json"]), subset_lines("gone", pool=["gone.json"])]
    with pytest.raises(ReaderError, match="absent: skip"):
        prepare_store(write_catalog(tmp_path, subsets), tmp_path / "store")
    catalog = write_catalog(tmp_path, subsets, absent="skip")
    told: list[str] = []
    prepare_store(catalog, tmp_path / "store", on_event=told.append)
    assert any(text.startswith("gone: left out") for text in told)
    store = open_store(tmp_path / "store")
    assert (store.manifest.subsets["here"].kept, store.manifest.subsets["gone"].read) == (12, 0)
    found = check_store(store, catalog, sources=["gone"], eval_sets=["here"])
    assert "gone: no row to train on" in [str(remark) for remark in found.must_fix]
