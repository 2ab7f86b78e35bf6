"""From folders nobody has described to a store: drafted, prepared, and the same wherever and however it is listed."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from datasets_spec.catalog.catalog import Catalog, load_catalog
from datasets_spec.catalog.draft import draft_catalog
from datasets_spec.errors import ReaderError
from datasets_spec.prepare.prepare_store import prepare_store
from datasets_spec.sample import SPLITS
from datasets_spec.store.store import Store, open_store
from tests.makers.image_folders import SETS, with_target, write_image_folders

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]
CHOSEN = tuple(each for each in SETS if each.name in ("aptos", "colonoscopy", "chest-xray", "dermoscopy"))
NUM_PER_PLACE = 8


def drafted(root: Path) -> Catalog:
    path = root / "catalog.yaml"
    path.write_text(with_target(draft_catalog(root / "data", root).text), encoding="utf-8")
    return load_catalog(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folders")
    write_image_folders(folder / "data", NUM_PER_PLACE, sets=CHOSEN)
    return folder


@pytest.fixture
def store(root: Path) -> Store:
    prepare_store(drafted(root), root / "store")
    return open_store(root / "store")


def test_every_image_is_a_row_and_the_lone_test_set_is_divided(store: Store) -> None:
    for each in CHOSEN:
        counts = store.manifest.subsets[each.name]
        assert counts.read == counts.kept == NUM_PER_PLACE * len(each.places) * len(each.classes)
        assert not counts.flags
    splits = {name: counts.splits for name, counts in store.manifest.subsets.items()}
    assert splits["colonoscopy"]["train"] == 0
    assert all(splits["colonoscopy"][split] for split in SPLITS[1:])
    assert splits["chest-xray"]["sealed"] >= 2 * NUM_PER_PLACE
    assert not store.manifest.leaks


def test_questions_are_closed_put_in_several_ways_and_readable(store: Store) -> None:
    rows = [row for split in SPLITS for row in store.read("dermoscopy", split).to_pylist()]
    assert {row["answer"] for row in rows} == {"melanoma", "nevus", "Seborrheic Keratosis"}
    assert all(sorted(row["options"]) == ["Seborrheic Keratosis", "melanoma", "nevus"] for row in rows)
    assert all(row["options"][row["answer_index"]] == row["answer"] == row["label"] for row in rows)
    assert len({row["question"] for row in rows}) > 2
    assert all(count < len(rows) for count in Counter(row["answer_index"] for row in rows).values())


def test_copies_written_in_another_order_and_place_make_the_same_store(
    store: Store, root: Path, tmp_path: Path
) -> None:
    files = sorted((path for path in (root / "data").rglob("*") if path.is_file()), reverse=True)
    for file in files:
        copy = tmp_path / "data" / file.relative_to(root / "data")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    prepared = prepare_store(drafted(tmp_path), tmp_path / "store")
    assert prepared.manifest.fingerprint == store.fingerprint


def test_what_changes_in_a_folder_is_noticed_and_set_aside(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "data" / "dermoscopy", tmp_path / "data")
    path = tmp_path / "data" / "catalog.yaml"
    path.write_text(draft_catalog(tmp_path / "data").text, encoding="utf-8")
    catalog = load_catalog(path)
    assert catalog.spec.subsets[0].pool == (".",)
    before = prepare_store(catalog, tmp_path / "store", quarantine_limit=0.5)
    assert prepare_store(catalog, tmp_path / "store", quarantine_limit=0.5).was_current
    images = sorted((tmp_path / "data" / "nevus").iterdir())
    images[0].write_bytes(images[0].read_bytes()[:40])
    os.symlink("/etc/hostname", tmp_path / "data" / "nevus" / "link.png")
    after = prepare_store(catalog, tmp_path / "store", quarantine_limit=0.5)
    assert not after.was_current
    (counts,) = after.manifest.subsets.values()
    (first,) = before.manifest.subsets.values()
    assert sum(counts.quarantined.values()) == 2
    assert counts.quarantined["path_outside_root"] == 1
    assert counts.kept == first.kept - 1
    rows = open_store(tmp_path / "store").read("data", "train").to_pylist()
    assert all(row["sample_id"].startswith("data/folder#") for row in rows)


def test_copies_in_a_class_are_one_row_and_in_two_classes_contradict(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "data" / "dermoscopy", tmp_path / "data")
    nevus = sorted((tmp_path / "data" / "nevus").iterdir())
    for number in range(6):  # of six wordings some differ
        shutil.copyfile(nevus[0], tmp_path / "data" / "nevus" / f"copy {number}.png")
    shutil.copyfile(nevus[1], tmp_path / "data" / "melanoma" / "other.png")
    path = tmp_path / "catalog.yaml"
    path.write_text(draft_catalog(tmp_path / "data", tmp_path).text, encoding="utf-8")
    (counts,) = prepare_store(load_catalog(path), tmp_path / "store").manifest.subsets.values()
    assert counts.duplicates == 6
    assert counts.contradicting == 2


def test_a_folder_that_cannot_be_asked_about_stops_with_its_name(root: Path, tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
    shutil.copyfile(next((root / "data" / "dermoscopy" / "nevus").iterdir()), tmp_path / "data" / "a" / "1.png")
    path = tmp_path / "catalog.yaml"
    path.write_text(
        "name: one\nsubsets:\n  - {name: one, modality: CT, area: Lung, task: t, format: image_folder, pool: [data]}\n"
    )
    with pytest.raises(ReaderError, match="data has images of one class only"):
        prepare_store(load_catalog(path), tmp_path / "store")
