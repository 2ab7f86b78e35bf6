"""What is written of patients: pseudonyms by the store's secret, and no path of an image where others look."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.check.words_alone import words_alone
from datasets_spec.errors import MissingImagesError, StoreError
from datasets_spec.prepare.build_store import STAGING
from datasets_spec.prepare.inputs import IMAGES_NAME
from datasets_spec.prepare.prepare_store import prepare_store
from datasets_spec.sample import SPLITS
from datasets_spec.store.export import EXPORT_FORMATS, ExportFormat, export_rows
from datasets_spec.store.generations import GENERATIONS
from datasets_spec.store.secret import SECRET_NAME, make_secret, read_secret
from datasets_spec.store.store import QUARANTINE_NAME, Store, open_store
from tests.makers.corpus import mat_pool, subset_lines, write_catalog, write_json
from tests.makers.on_disk import on_disk

PATIENTS = [f"patient{48213 + number}" for number in range(20)]


def write_corpus(root: Path) -> Catalog:
    pool = mat_pool(root, "pool", 60, first=0)
    for index, record in enumerate(pool):
        moved = f"pool/{PATIENTS[index // 3]}/{index}.png"
        (root / "images" / moved).parent.mkdir(exist_ok=True)
        (root / "images" / str(record["image"])).rename(root / "images" / moved)
        record["image"] = moved
    (root / "images" / str(pool[4]["image"])).unlink()
    write_json(root / "pool.json", pool)
    return write_catalog(root, [subset_lines("02", pool=["pool.json"], group_pattern=r"/(patient\d+)/")])


@dataclass(frozen=True, kw_only=True)
class Twice:
    catalog: Catalog
    stores: tuple[Store, Store]
    events: list[str]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory, local_ray: None) -> Twice:
    """The same data, prepared into two stores, each with a secret of its own."""
    root = tmp_path_factory.mktemp("corpus")
    catalog = write_corpus(root)
    events: list[str] = []
    for name in ("one", "two"):
        prepare_store(catalog, root / name, quarantine_limit=0.5, on_event=events.append)
    return Twice(catalog=catalog, stores=(open_store(root / "one"), open_store(root / "two")), events=events)


def rows_of(store: Store) -> list[dict[str, Any]]:
    return [row for split in SPLITS for row in store.read("02", split).to_pylist()]


def written_texts(folder: Path) -> str:
    """Everything in the files of a folder: cells of Parquet files, bytes of the others."""
    texts = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.suffix == ".parquet" and path.name != IMAGES_NAME:
            texts.append(str(pq.read_table(path).to_pylist()))
        texts.append(path.read_bytes().decode("latin-1"))
    return "\n".join(texts)


@pytest.mark.ray
def test_two_secrets_give_equal_splits_and_unequal_pseudonyms(twice: Twice) -> None:
    one, two = map(rows_of, twice.stores)
    names = ("sample_id", "split", "order", "row_hash", "images")
    assert [[row[name] for name in names] for row in one] == [[row[name] for name in names] for row in two]
    assert twice.stores[0].fingerprint == twice.stores[1].fingerprint
    assert {row["group"] for row in one}.isdisjoint({row["group"] for row in two})
    tied = {(a["group"], b["group"]) for a, b in zip(one, two, strict=True)}
    assert len(tied) == len({a for a, _ in tied}) == len({b for _, b in tied}) == len(PATIENTS)
    for split in SPLITS[1:]:
        assert words_alone(twice.stores[0], "02", split) == words_alone(twice.stores[1], "02", split)


@pytest.mark.ray
@pytest.mark.parametrize("export_format", EXPORT_FORMATS)
def test_trying_ids_finds_no_patient_in_what_is_written(
    twice: Twice, export_format: ExportFormat, tmp_path: Path
) -> None:
    store = twice.stores[0]
    export_rows(store, twice.catalog, {"02": 5}, tmp_path / "out", export_format)
    secret = read_secret(store.directory / SECRET_NAME)
    written = written_texts(on_disk(store.directory)) + written_texts(tmp_path / "out")
    for patient in PATIENTS:
        for guess in (patient, f"02\0{patient}"):
            assert hashlib.sha256(guess.encode()).hexdigest()[:16] not in written
        listed = pq.read_table(store.directory / QUARANTINE_NAME).to_pylist()
        assert patient not in str(listed)
        assert not any(patient in event for event in twice.events)
    assert secret.decode("latin-1") not in written_texts(tmp_path / "out")


@pytest.mark.ray
def test_what_names_patients_is_the_owners_alone_and_what_is_left_over_goes(twice: Twice) -> None:
    store = twice.stores[1]
    root = on_disk(store.directory)
    secret = root / SECRET_NAME
    kept = secret.read_bytes()
    generation = root / store.manifest.generation
    for path in (secret, generation / IMAGES_NAME):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    left = store.directory / GENERATIONS / "killed" / STAGING
    left.mkdir(parents=True)
    groups = [row["group"] for row in rows_of(store)]
    (store.directory / "manifest.json").unlink()
    prepare_store(twice.catalog, store.directory, quarantine_limit=0.5)
    assert secret.read_bytes() == kept
    assert [row["group"] for row in rows_of(open_store(store.directory))] == groups
    assert not list(root.rglob(STAGING))


@pytest.mark.ray
def test_rows_are_named_in_place_of_images(twice: Twice, tmp_path: Path) -> None:
    with pytest.raises(MissingImagesError, match=r"02: pool.json row 4\n") as caught:
        prepare_store(twice.catalog, tmp_path / "store", quarantine_limit=0.0)
    assert "patient4" not in str(caught.value)


@pytest.mark.ray
def test_a_patient_that_only_a_duplicate_names_is_stored_with_the_row_that_stays(
    local_ray: None, tmp_path: Path
) -> None:
    pool = mat_pool(tmp_path, "pool", 12, first=0)
    pool.append({**pool[3], "patient_id": "P7"})
    pool[8]["patient_id"] = "P7"
    write_json(tmp_path / "pool.json", pool)
    prepare_store(write_catalog(tmp_path, [subset_lines("02", pool=["pool.json"])]), tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        counts = store.manifest.subsets["02"]
        groups = {row["sample_id"]: row["group"] for row in rows_of(store)}
    assert (counts.duplicates, counts.num_grouped) == (1, 2)
    assert groups["02/pool#3"] == groups["02/pool#8"] is not None
    assert sum(group is not None for group in groups.values()) == 2


def test_a_secret_is_made_once_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = on_disk(make_secret(tmp_path))
    secret = read_secret(path)
    path.chmod(0o644)
    assert read_secret(make_secret(tmp_path)) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(StoreError, match="5 bytes, not 32"):
        read_secret(path)
    path.unlink()
    with pytest.raises(StoreError, match="cannot read"):
        read_secret(path)
