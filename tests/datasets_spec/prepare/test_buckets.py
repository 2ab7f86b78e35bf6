"""Data files and images in a bucket of a real S3 server lead to the store that the same files on a disk lead to."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import pytest

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.errors import ReaderError, SpecError, StorageError
from datasets_spec.images.file_state import ABSENT
from datasets_spec.images.limits import ImageLimits
from datasets_spec.packs.image_index import read_indexes
from datasets_spec.prepare.inputs import data_files, require_inputs, subset_sources
from datasets_spec.prepare.opening import known_images
from datasets_spec.prepare.opening.open_block import OpeningOrder, open_block
from datasets_spec.prepare.opening.open_wanted import open_wanted
from datasets_spec.prepare.opening.wanted_images import ImagePlace, Places, WantedImages
from datasets_spec.prepare.prepare_store import prepare_store
from datasets_spec.prepare.ray_jobs import side_by_side
from datasets_spec.prepare.read_rows import read_files
from datasets_spec.prepare.shared_folder import TOKEN_NAME, prove_folder
from datasets_spec.storage.place import as_place
from datasets_spec.storage.s3_bucket import forget_sessions
from datasets_spec.store.store import open_store
from tests.makers.corpus import mat_pool, save_picture, subset_lines, write_catalog, write_json
from tests.makers.s3_server import S3Server, upload

SECRET = "wrong-and-secret-0123456789"
LIMITS = ImageLimits()


def write_corpus(root: Path) -> None:
    """Med-MAT's format, JSON lines, and folders of classes, one with a row whose image is not there."""
    records = mat_pool(root, "pool", 24, first=0)
    records[5]["image"] = "pool/absent.png"
    write_json(root / "data/pool.json", records)
    rows = [{"file": f"table/{number}.png", "label": f"class {number % 2}"} for number in range(8)]
    (root / "data/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for number in range(8):
        save_picture(root / f"images/table/{number}.png", 100 + number)
        save_picture(root / f"images/folders/{'ab'[number % 2]}/{number // 4}/ü {number}.png", 200 + number)


def catalog_of(root: Path, data: str) -> Catalog:
    """A catalog in a folder, whose data lie beneath an address."""
    images = f"{data}/images"
    subsets = [
        subset_lines("pool", pool=[f"{data}/data/pool.json"], image_root=images),
        subset_lines("table", pool=[f"{data}/data/rows.jsonl"], format="image_folder", image_root=images),
        subset_lines("folders", pool=[f"{images}/folders"], format="image_folder", image_root=images),
    ]
    root.mkdir(exist_ok=True)
    return write_catalog(root, subsets)


@pytest.mark.ray
def test_a_bucket_leads_to_the_same_store_as_a_disk(tmp_path: Path, local_ray: None, s3: S3Server) -> None:
    write_corpus(tmp_path / "disk")
    address = upload(s3, tmp_path / "disk", "same-store")
    catalogs = [catalog_of(tmp_path / name, data) for name, data in (("a", str(tmp_path / "disk")), ("b", address))]
    stores = [tmp_path / "store-a", tmp_path / "store-b"]
    local, remote = (
        prepare_store(catalog, store, quarantine_limit=0.5).manifest
        for catalog, store in zip(catalogs, stores, strict=True)
    )
    assert remote.fingerprint == local.fingerprint
    assert remote.subsets["pool"].quarantined == local.subsets["pool"].quarantined == {"missing_image": 1}
    tables = [open_store(store).read("folders", "train") for store in stores]
    assert tables[0].equals(tables[1])
    assert prepare_store(catalogs[1], stores[1], quarantine_limit=0.5).was_current
    for path in (path for path in stores[1].rglob("*") if path.is_file()):
        assert s3.secret.encode() not in path.read_bytes()


@pytest.mark.ray
def test_a_task_that_does_not_get_at_a_bucket_says_so_without_a_trace(local_ray: None) -> None:
    with pytest.raises(StorageError) as caught:
        side_by_side(refused, [1, 2])
    assert type(caught.value) is StorageError
    assert str(caught.value) == "no way there\n  look for one"


def refused(number: int) -> int:
    raise StorageError("no way there", hint="look for one")


def test_what_is_not_in_the_bucket_is_named(tmp_path: Path, s3: S3Server) -> None:
    with pytest.raises(ReaderError, match=rf"data files .*\n  pool: s3://{s3.bucket}/empty/data/pool\.json"):
        require_inputs(catalog_of(tmp_path, f"s3://{s3.bucket}/empty"))


def test_another_scheme_is_refused_where_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"catalog\.yaml:\d+:\d+: .*not from gs://"):
        catalog_of(tmp_path, "gs://bucket")


def test_a_node_without_the_right_credentials_says_so(
    tmp_path: Path, s3_anew: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / TOKEN_NAME).write_text("token", encoding="utf-8")
    upload(s3_anew, tmp_path, "seen")
    there, absent = f"s3://{s3_anew.bucket}/seen", f"s3://{s3_anew.bucket}/unseen"
    assert prove_folder(str(tmp_path), "token", "node", [there]) is None
    assert prove_folder(there, "token", "node") is None
    assert as_place(f"{there}/node").read_bytes() == b"token"
    assert prove_folder(there, "another", "node") == "sees another folder in the place of the store"
    assert prove_folder(str(tmp_path), "token", "node", [there, absent]) == (
        f"does not see {absent} (1 of 2 data files and image folders)"
    )
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    forget_sessions()
    told = prove_folder(str(tmp_path), "token", "node", [there])
    assert told is not None
    assert "credentials" in told
    assert "AWS_SECRET_ACCESS_KEY" in told or "s3:ListBucket" in told
    assert SECRET not in told
    told = prove_folder(there, "token", "node") or ""
    assert told.startswith("does not get at the store: ")
    assert "credentials" in told


def test_credentials_that_expire_on_the_way_stop_the_work_with_the_nodes_name(
    tmp_path: Path, s3_anew: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa

    write_corpus(tmp_path / "disk")
    catalog = catalog_of(tmp_path, upload(s3_anew, tmp_path / "disk", "expired"))
    (item,) = (item for item in data_files(catalog) if item.subset == "pool")
    where = {"subset": item.subset, "role": item.role, "file": item.file, "path": str(item.path)}
    root = str(catalog.image_root("pool"))
    order = OpeningOrder(np.array([0]), [ImagePlace(root, "pool/p0/im (0).png", False)])
    packs, staging = tmp_path / "packs", tmp_path / "staging"
    packs.mkdir()
    staging.mkdir()
    opened = open_block(order, packs=packs, staging=staging, limits=LIMITS, opening="")
    again = open_block(order, packs=packs, staging=staging, limits=LIMITS, opening="")  # in a process of its own
    assert opened.stem
    assert again.stem
    tables = [index[0] for index in read_indexes(packs, [opened.stem, again.stem]) if index]
    assert tables[0].equals(tables[1])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    forget_sessions()
    opened = open_block(order, packs=packs, staging=staging, limits=LIMITS, opening="again")
    assert (opened.stem, opened.node) == ("", platform.node())
    assert "credentials" in (opened.failure or "")
    (unread,) = read_files(pa.Table.from_pylist([where]), sources=subset_sources(catalog))
    assert "credentials" in unread.column("failure")[0].as_py()
    places = Places(pa.array([place.text for place in order.places], pa.large_string()))
    wanted = WantedImages(places=places, blocks=[])
    monkeypatch.setattr(known_images, "states_of", lambda places: [ABSENT])
    with pytest.raises(StorageError, match=f"^node {platform.node()}: .*credentials"):
        open_wanted(wanted, tmp_path, staging, opening="", open_blocks=lambda orders: [opened])
