"""When a store is current: what arrives later is seen, and what a refused attempt found stays apart from it."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.errors import MissingImagesError, StoreError
from datasets_spec.images import files
from datasets_spec.images.dicom import MISSING_READER
from datasets_spec.images.limits import ImageLimits
from datasets_spec.prepare import current_store
from datasets_spec.prepare.build_store import REFUSED_NAME
from datasets_spec.prepare.opening.open_image import open_image
from datasets_spec.prepare.prepare_store import prepare_store
from datasets_spec.prepare.quarantine import REASONS, AsideRows, write_quarantine
from datasets_spec.sample import QuarantineReason
from datasets_spec.splits.row_table import RowSource
from datasets_spec.store.image_states import images_unchanged
from datasets_spec.store.manifest import MANIFEST_NAME
from datasets_spec.store.store import QUARANTINE_NAME, open_store
from tests.datasets_spec.images.test_dicom import dicom
from tests.makers.corpus import mat_pool, mat_record, save_picture, subset_lines, write_catalog, write_json

pytestmark = pytest.mark.ray


def listed(path: Path) -> list[tuple[int, str]]:
    return [(row["index"], row["reason"]) for row in pq.read_table(path).to_pylist()]


def small(root: Path, num_rows: int = 12) -> Catalog:
    write_json(root / "pool.json", mat_pool(root, "pool", num_rows, first=0))
    return write_catalog(root, [subset_lines("pool", pool=["pool.json"])])


def test_what_a_refused_attempt_set_aside_is_listed_apart_until_one_succeeds(tmp_path: Path, local_ray: None) -> None:
    catalog, store = small(tmp_path), tmp_path / "store"
    images = sorted((tmp_path / "images").rglob("*.png"))
    (tmp_path / "images" / "pool/p3/im (3).png").unlink()
    prepare_store(catalog, store, quarantine_limit=0.1)
    before = listed(store / QUARANTINE_NAME)
    assert before == [(3, "missing_image")]
    for path in images[:6]:
        path.unlink(missing_ok=True)
    with pytest.raises(MissingImagesError, match=REFUSED_NAME):
        prepare_store(catalog, store, quarantine_limit=0.1)
    assert listed(store / QUARANTINE_NAME) == before
    assert len(listed(store / REFUSED_NAME)) >= 6
    prepare_store(catalog, store, quarantine_limit=0.9)
    assert len(listed(store / QUARANTINE_NAME)) >= 6
    assert not (store / REFUSED_NAME).exists()


def test_a_mask_that_arrives_later_is_seen(tmp_path: Path, local_ray: None) -> None:
    rows = []
    for number in range(3):
        save_picture(tmp_path / "images" / f"{number}.png", number)
        asked = {"image": f"{number}.png", "Question": "Where is the nodule?"}
        rows.append({**asked, "mask": f"{number}-mask.png"})
        mask = np.zeros((12, 12), dtype=np.uint8)
        mask[2:6, 3:9] = 255
        if number:
            Image.fromarray(mask).save(tmp_path / "images" / f"{number}-mask.png")
    write_json(tmp_path / "pool.json", rows)
    catalog = write_catalog(tmp_path, [subset_lines("pool", pool=["pool.json"], box_form="corners_pixels")])
    first = prepare_store(catalog, tmp_path / "store", quarantine_limit=0.5)
    assert first.manifest.subsets["pool"].quarantined == {"missing_image": 1}
    assert prepare_store(catalog, tmp_path / "store", quarantine_limit=0.5).was_current
    Image.fromarray(mask).save(tmp_path / "images" / "0-mask.png")
    second = prepare_store(catalog, tmp_path / "store", quarantine_limit=0.5)
    assert not second.was_current
    assert second.manifest.subsets["pool"].kept == 3


def test_an_image_that_is_named_without_its_ending_and_arrives_later_is_seen(tmp_path: Path, local_ray: None) -> None:
    for name in ("a1", "a2"):
        save_picture(tmp_path / "images" / f"{name}.png", int(name[1]))
    (tmp_path / "labels.csv").write_text("id_code,label\na1,mild\na2,none\nb3,none\n", encoding="utf-8")
    catalog = write_catalog(tmp_path, [subset_lines("pool", pool=["labels.csv"], format="image_folder")])
    first = prepare_store(catalog, tmp_path / "store", quarantine_limit=0.5)
    assert first.manifest.subsets["pool"].quarantined == {"missing_image": 1}
    assert prepare_store(catalog, tmp_path / "store", quarantine_limit=0.5).was_current
    save_picture(tmp_path / "images" / "b3.png", 3)
    second = prepare_store(catalog, tmp_path / "store", quarantine_limit=0.5)
    assert not second.was_current
    assert second.manifest.subsets["pool"].kept == 3
    assert prepare_store(catalog, tmp_path / "store", quarantine_limit=0.5).was_current


def test_an_image_that_may_be_read_later_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_picture(tmp_path / "a.png", 1)
    with monkeypatch.context() as refused:
        refused.setattr(files, "open_resolved", Mock(side_effect=PermissionError))
        opened = open_image(tmp_path / "a.png", files.file_state(tmp_path / "a.png"), ImageLimits())
    assert (opened.reason, opened.detail) == ("missing_image", "not readable")
    state = {"num_bytes": [opened.state.num_bytes], "mtime_ns": [opened.state.mtime_ns]}
    states = pa.table({"subset": ["s"], "path": ["a.png"], **state})
    with monkeypatch.context() as refused:
        refused.setattr(os, "access", lambda path, mode: False)
        assert images_unchanged(states, {"s": str(tmp_path)})
    assert not images_unchanged(states, {"s": str(tmp_path)})


def test_a_reader_that_is_installed_later_is_seen(
    tmp_path: Path, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, store = small(tmp_path), tmp_path / "store"
    scan = tmp_path / "images" / "scan.dcm"
    scan.write_bytes(b"x" + dicom(np.full((12, 12), 7, dtype=np.uint8)))  # set aside, as by a worker without the reader
    pool = [*mat_pool(tmp_path, "pool", 12, first=0), mat_record(12, "scan.dcm", 0)]
    write_json(tmp_path / "pool.json", pool)
    prepare_store(catalog, store, quarantine_limit=0.5)
    detail = f"image 1 of 1 {MISSING_READER}"
    rows = AsideRows((RowSource("pool", "pool", "pool.json"),))
    reason = REASONS.index(QuarantineReason.image_format)
    rows.add(np.array([0], np.int32), np.array([12]), np.array([reason], np.int8), pa.array([detail]))
    write_quarantine(rows, store / QUARANTINE_NAME)
    with monkeypatch.context() as without:
        without.setattr(current_store, "find_spec", lambda name: None)
        assert prepare_store(catalog, store, quarantine_limit=0.5).was_current
    told: list[str] = []
    assert not prepare_store(catalog, store, quarantine_limit=0.5, on_event=told.append).was_current
    assert any("a reader that is there now" in text for text in told)
    assert prepare_store(catalog, store, quarantine_limit=0.5).was_current


def test_a_manifest_of_another_version_is_not_opened_and_is_prepared_again(tmp_path: Path, local_ray: None) -> None:
    catalog, store = small(tmp_path), tmp_path / "store"
    version = prepare_store(catalog, store).manifest.version
    manifest = store / MANIFEST_NAME
    manifest.write_text(manifest.read_text().replace(f'"version": {version}', '"version": 1', 1))
    with pytest.raises(StoreError, match=f"is of version 1, this program reads {version}"):
        open_store(store)
    assert not prepare_store(catalog, store).was_current
    assert open_store(store).manifest.version == version
