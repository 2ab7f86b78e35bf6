"""An image is opened once: not again for another row, seed or subset, nor after a preparation that was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.errors import StoreError
from datasets_spec.images.limits import ImageLimits
from datasets_spec.packs.pack_writer import PACKS
from datasets_spec.prepare import prepare_store as prepare_module
from datasets_spec.prepare import ray_jobs
from datasets_spec.prepare.opening import open_block
from datasets_spec.prepare.opening.open_block import divide
from datasets_spec.prepare.opening.wanted_images import opening_of
from datasets_spec.prepare.prepare_store import PreparedStore, prepare_store
from datasets_spec.store.generations import collect_garbage
from datasets_spec.store.lock import Hold, locked
from datasets_spec.store.store import Store, open_store
from tests.makers.corpus import encoded, mat_pool, picture, save_picture, subset_lines, write_catalog, write_json

NUM_ROWS = 30


def subset(root: Path, name: str, first: int) -> dict[str, Any]:
    write_json(root / f"{name}.json", mat_pool(root, name, NUM_ROWS, first=first))
    return subset_lines(name, pool=[f"{name}.json"])


def prepared(catalog: Catalog, root: Path, **changes: Any) -> tuple[PreparedStore, str]:
    """Prepares and returns what was said of images."""
    told: list[str] = []
    result = prepare_store(catalog, root / "store", on_event=told.append, **changes)
    return result, next((text for text in told if text.endswith(" images")), "")


def rows_of(store: Store) -> list[dict[str, Any]]:
    return [
        row for name in store.subsets for split in ("train", "search") for row in store.read(name, split).to_pylist()
    ]


@pytest.fixture
def lines(tmp_path: Path, local_ray: None) -> list[dict[str, Any]]:
    return [subset(tmp_path, "one", 0), subset(tmp_path, "two", 100)]


@pytest.fixture
def two(tmp_path: Path, lines: list[dict[str, Any]]) -> Catalog:
    return write_catalog(tmp_path, lines)


@pytest.mark.ray
def test_a_seed_a_subset_and_a_changed_image_open_only_what_is_new(
    tmp_path: Path, two: Catalog, lines: list[dict[str, Any]]
) -> None:
    first, told = prepared(two, tmp_path)
    assert told == f"opening {2 * NUM_ROWS} images"
    before = rows_of(open_store(tmp_path / "store"))
    other, told = prepared(two, tmp_path, seed=1)
    assert told == f"{2 * NUM_ROWS} of {2 * NUM_ROWS} images are known from before; opening 0 images"
    assert other.manifest.packs == first.manifest.packs
    more = write_catalog(tmp_path, [*lines, subset(tmp_path, "three", 200)])
    third, told = prepared(more, tmp_path)
    assert told == f"{2 * NUM_ROWS} of {3 * NUM_ROWS} images are known from before; opening {NUM_ROWS} images"
    known = {name: [counts.partition_fingerprints, counts.splits] for name, counts in third.manifest.subsets.items()}
    assert known["one"] == [
        first.manifest.subsets["one"].partition_fingerprints,
        first.manifest.subsets["one"].splits,
    ]
    save_picture(tmp_path / "images" / "one" / "p3" / "im (3).png", 4000)
    fourth, told = prepared(more, tmp_path)
    assert told.endswith("; opening 1 images")
    now = {row["sample_id"]: row["images"] for row in rows_of(open_store(tmp_path / "store"))}
    changed = {row["sample_id"] for row in before if row["sample_id"] in now and now[row["sample_id"]] != row["images"]}
    assert changed <= {"one/one#3"}
    assert open_store(tmp_path / "store").verify() == 3 * 4 + len(fourth.manifest.packs or ())
    # Limits and versions decide which images are stored: others are opened anew.
    assert prepared(more, tmp_path, max_image_mpx=1.0)[1] == f"opening {3 * NUM_ROWS} images"
    assert opening_of(ImageLimits()) != opening_of(ImageLimits(max_mpx=1.0))


@pytest.mark.ray
def test_what_an_interrupted_preparation_opened_is_not_opened_again(
    tmp_path: Path, two: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = prepare_store(two, tmp_path / "calm").manifest

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ray_jobs, "store_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepared(two, tmp_path)
    (tmp_path / "store" / PACKS / ".unfinished-of-a-killed-worker").write_bytes(b"half an image")
    monkeypatch.undo()
    result, told = prepared(two, tmp_path)
    assert told.endswith("; opening 0 images")
    assert result.manifest.fingerprint == calm.fingerprint
    assert not list((tmp_path / "store" / PACKS).glob(".*"))


@pytest.mark.ray
def test_of_two_preparations_that_begin_together_one_builds(
    tmp_path: Path, two: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other gets the lock when the first has let it go, and finds what it would have built."""

    @contextmanager
    def locked_later(store_dir: Path, **how: Any) -> Iterator[Hold]:
        monkeypatch.undo()
        prepare_store(two, store_dir)
        with locked(store_dir, **how) as hold:
            yield hold

    monkeypatch.setattr(prepare_module, "locked", locked_later)
    second = prepare_store(two, tmp_path / "store")
    assert second.was_current
    assert second.manifest == open_store(tmp_path / "store").manifest
    assert len(list((tmp_path / "store" / "generations").iterdir())) == 1


@pytest.mark.ray
def test_a_damaged_pack_is_written_again_where_hashes_are_compared(tmp_path: Path, two: Catalog) -> None:
    first = prepare_store(two, tmp_path / "store").manifest
    (pack, *_) = first.packs or ()
    path = tmp_path / "store" / PACKS / pack.name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StoreError, match="is damaged at byte"):
        rows_of(open_store(tmp_path / "store"))
    again, told = prepared(two, tmp_path, check_hashes=True)
    assert again.manifest.fingerprint == first.fingerprint
    assert "opening 0" not in told
    assert rows_of(open_store(tmp_path / "store"))
    # A pack that was cut, or is gone, is noticed by its size alone.
    (pack, *_) = again.manifest.packs or ()
    (tmp_path / "store" / PACKS / pack.name).unlink()
    assert not prepared(two, tmp_path)[0].was_current
    assert open_store(tmp_path / "store").verify()


@pytest.mark.ray
def test_packs_of_subsets_that_are_gone_go_unless_somebody_reads_them(
    tmp_path: Path, two: Catalog, lines: list[dict[str, Any]]
) -> None:
    prepare_store(two, tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        before = rows_of(store)
        prepare_store(write_catalog(tmp_path, lines[:1]), tmp_path / "store")
        assert rows_of(store) == before
    freed = collect_garbage(tmp_path / "store").num_bytes
    assert freed > 0
    manifest = open_store(tmp_path / "store").manifest
    there = {path.name for path in (tmp_path / "store" / PACKS).glob("*.pack")}
    assert there == {pack.name for pack in manifest.packs or ()}


@pytest.mark.ray
def test_equal_images_are_stored_once(tmp_path: Path, local_ray: None) -> None:
    pool = mat_pool(tmp_path, "pool", NUM_ROWS, first=0)
    other = mat_pool(tmp_path, "other", NUM_ROWS, first=0)  # the same drawings in other files
    (tmp_path / "images" / str(other[0]["image"])).write_bytes(encoded(picture(0), "BMP"))
    write_json(tmp_path / "pool.json", pool + pool)
    write_json(tmp_path / "other.json", other)
    catalog = write_catalog(tmp_path, [subset_lines(name, pool=[f"{name}.json"]) for name in ("pool", "other")])
    result, told = prepared(catalog, tmp_path)
    assert told == f"opening {2 * NUM_ROWS} images"
    store = open_store(tmp_path / "store")
    rows = [row for row in rows_of(store) if row["image_hashes"]]
    generation = tmp_path / "store" / result.manifest.generation
    places = [
        (place["pack"], place["offset"])
        for part in generation.glob("data/*/*/*.parquet")
        for row in pq.ParquetFile(part).read(columns=["places"]).to_pylist()
        for place in row["places"]
    ]
    hashes = {row["image_hashes"][0] for row in rows}
    assert len(set(places)) <= NUM_ROWS
    assert len({row["images"][0] for row in rows}) == len(hashes)
    # One image has equal pixels in two files that differ; it may lie in a pack twice and is read from one place.
    most = NUM_ROWS + 1
    stored = sum(pack.num_bytes for pack in result.manifest.packs or ())
    assert stored < 1.2 * most * max(len(row["images"][0]) for row in rows)


@given(st.lists(st.integers(0, 5), max_size=200), st.integers(1, 12), st.integers(1, 40))
def test_blocks_hold_every_image_once_and_equal_sizes_together(sizes: list[int], images: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_block, "MAX_IMAGES_PER_PACK", images)
        patch.setattr(open_block, "MAX_BYTES_PER_PACK", size)
        blocks = [block.tolist() for block in divide(np.arange(len(sizes)), np.array(sizes, np.int64))]
    assert sorted(number for block in blocks for number in block) == list(range(len(sizes)))
    for block in blocks:
        assert len(block) <= 2 * images
        assert len(block) == 1 or sum(sizes[number] for number in block) <= 2 * size
    for one, two in pairwise(blocks):
        if sizes[one[-1]] == sizes[two[0]]:
            is_full = len(one) == 2 * images or sum(sizes[n] for n in one) + sizes[two[0]] > 2 * size
            assert is_full
