"""The way in, walked once through Ray on a small corpus that holds one of everything."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageEnhance

from datasets_spec.catalog.catalog import Catalog
from datasets_spec.check.check import audit_subset, check_store
from datasets_spec.errors import (
    QuarantineLimitError,
    StoreError,
    UserError,
)
from datasets_spec.images.decode import decode, hash_of
from datasets_spec.images.limits import ImageLimits
from datasets_spec.prepare.prepare_store import PreparedStore, prepare_store
from datasets_spec.readers import get_reader
from datasets_spec.readers.unpack import unpack_table
from datasets_spec.sample import ARROW_SCHEMA, SPLITS, RawSample
from datasets_spec.store.export import EXPORT_FORMATS, ExportFormat, export_rows
from datasets_spec.store.secret import OWNER_ONLY
from datasets_spec.store.store import QUARANTINE_NAME, ROWS_NAME, Store, open_store
from datasets_spec.store.tied_rows import TIED_ROWS_NAME, read_tied_rows
from search.cli.data import as_plain
from tests.makers.corpus import (
    encoded,
    mat_pool,
    mat_record,
    mim_record,
    picture,
    save_picture,
    subset_lines,
    write_catalog,
    write_json,
)
from tests.makers.on_disk import on_disk, part_paths

pytestmark = pytest.mark.ray

ABC = {"A": "left", "B": "right", "C": "neither"}


def spoil(root: Path, pool: list[dict[str, Any]]) -> dict[int, str]:
    """Makes rows of a pool unusable, each for another reason; returns index -> reason."""
    images = root / "images"

    def at(index: int) -> Path:
        return images / str(pool[index]["image"])

    at(0).unlink()
    data = encoded(Image.effect_noise((64, 64), 80), "JPEG")
    at(1).write_bytes(data[: len(data) // 2])
    at(2).write_bytes(b"not an image at all")
    at(3).write_bytes(encoded(Image.new("1", (1100, 1000))))
    at(4).write_bytes(encoded(Image.new("I;16", (4, 4), 999)))
    outside = root / "outside.png"
    outside.write_bytes(encoded(picture(9)))
    at(5).unlink()
    at(5).symlink_to(outside)
    pool[6]["image"] = "../outside.png"
    pool[7]["Question-choice"] = "A: x\nB: y"
    pool[8]["Answer-choice"] = "Q"
    pool[9] = {"nothing": "here"}
    pool[10]["Question-choice"] = "q\nA: x"
    at(11).write_bytes(b"")
    reasons = ["missing_image", "image_truncated", "image_format", "image_too_large", "image_format"]
    reasons += ["path_outside_root"] * 2 + ["empty_question", "answer_not_in_options", "malformed_row"]
    return dict(enumerate([*reasons, "too_few_options", "image_undecodable"]))


@dataclass
class Prepared:
    root: Path
    catalog: Catalog
    store: Store
    result: PreparedStore
    spoiled: dict[int, str]
    events: list[str]
    progress: list[str]


def write_corpus(root: Path) -> tuple[Catalog, dict[int, str]]:
    clean = mat_pool(root, "clean", 120, first=0, per_patient=3)
    spoiled = mat_pool(root, "spoiled", 60, first=1000)
    reasons = spoil(root, spoiled)
    spoiled[20] = spoiled[19] | {"id": 777}
    tested = mat_pool(root, "tested", 10, first=2000)
    # The planted leaks: a re-encoded copy of a test image, and a darker one.
    leak = root / "images" / "clean" / "leak.bmp"
    leak.write_bytes(encoded(picture(2003), "BMP"))
    clean.append(mat_record(120, "clean/leak.bmp", 0))
    ImageEnhance.Brightness(picture(2005)).enhance(0.9).save(root / "images" / "clean" / "dark.png")
    clean.append(mat_record(121, "clean/dark.png", 0))
    pairs = []
    for n in range(30):
        for side in (0, 1):
            save_picture(root / "images" / "eyes" / f"{n}_{side}.png", 3000 + 2 * n + side)
        names = [f"eyes/{n}_0.png", f"eyes/{n}_1.png"]
        pairs.append(mim_record(names, "Which eye is brighter?", ABC, "BA"[n % 2] + ": x"))
        pairs.append(mim_record(names, "Describe both eyes.", {}, f"Eyes of drawing {n}."))
    write_json(root / "clean.json", clean[:60])
    write_json(root / "more" / "clean-2.json", clean[60:])
    write_json(root / "spoiled.json", spoiled)
    write_json(root / "tested.json", tested)
    write_json(root / "pairs.json", pairs)
    eyes = {"format": "med_mim", "ability": "comparison", "group_pattern": r"/(\d+)_", "group_namespace": "eyes"}
    subsets = [
        subset_lines("02", pool=["clean.json", "more/clean-2.json"], group_pattern=r"/(p\d+)/"),
        subset_lines("spoiled", pool=["spoiled.json"]),
        subset_lines("tested", test=["tested.json"]),
        subset_lines("eyes-closed", pool=["pairs.json"], answer_kind="closed") | eyes,
        subset_lines("eyes-open", pool=["pairs.json"], answer_kind="open") | eyes,
    ]
    return write_catalog(root, subsets), reasons


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, local_ray: None) -> Prepared:
    root = tmp_path_factory.mktemp("corpus")
    catalog, spoiled = write_corpus(root)
    events: list[str] = []
    progress: list[str] = []
    result = prepare_store(
        catalog,
        root / "store",
        quarantine_limit=0.5,
        max_image_mpx=1.0,
        on_event=events.append,
        on_progress=progress.append,
    )
    return Prepared(root, catalog, open_store(root / "store"), result, spoiled, events, progress)


def all_rows(store: Store, *columns: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for subset in store.subsets:
        for split in SPLITS:
            rows += store.read(subset, split, columns=["subset", "split", *columns]).to_pylist()
    return rows


def test_equal_inputs_give_the_fingerprint_that_they_always_gave(prepared: Prepared) -> None:
    # Of 28 November 2026: results are stored beside it, and how rows are found, planned and written must not change it.
    assert prepared.store.fingerprint == "7745009144d28a8db33e15b0b031733f00e1821734f4480574c1d7df8cdb78e3"


def test_progress_reaches_the_end_of_every_step(prepared: Prepared) -> None:
    num_read = sum(counts.read for counts in prepared.result.manifest.subsets.values())
    num_kept = sum(counts.kept for counts in prepared.result.manifest.subsets.values())
    bar = f"[{'=' * 20}] "
    last = {text.rpartition("] ")[2].split()[0]: text for text in prepared.progress}
    assert list(last) == ["read", "opened", "finished", "wrote"]
    assert last["read"].startswith(f"read {num_read} rows, ")
    assert re.match(r"\[={20}\] opened (\d+) of \1 images \(100 %\), ", last["opened"])
    assert last["finished"].startswith(f"{bar}finished {num_read} of {num_read} rows (100 %), ")
    assert last["wrote"].startswith(f"{bar}wrote {num_kept} of {num_kept} rows (100 %), ")


def test_every_record_is_kept_or_has_a_reason(prepared: Prepared) -> None:
    listed = pq.read_table(prepared.root / "store" / QUARANTINE_NAME).to_pylist()
    for name, counts in prepared.store.manifest.subsets.items():
        aside = (
            sum(counts.quarantined.values())
            + counts.duplicates
            + counts.leaked
            + counts.not_selected
            + counts.not_sampled
        )
        assert counts.read == counts.kept + aside
        assert aside == sum(row["subset"] == name for row in listed)
        assert counts.kept == sum(counts.splits.values())
    spoiled = {row["index"]: row["reason"] for row in listed if row["subset"] == "spoiled"}
    assert spoiled == {**prepared.spoiled, 20: "duplicate_row"}
    assert prepared.store.manifest.subsets["spoiled"].duplicates == 1
    assert prepared.store.manifest.subsets["eyes-open"].not_selected == 30


def test_stored_rows_are_listed_by_id(prepared: Prepared) -> None:
    listed = pq.read_table(prepared.store.directory / prepared.store.manifest.generation / ROWS_NAME).to_pylist()
    stored = all_rows(prepared.store, "sample_id", "order", "row_hash")
    names = ("sample_id", "subset", "split", "order", "row_hash")
    assert sorted([row[name] for name in names] for row in listed) == sorted(
        [row[name] for name in names] for row in stored
    )
    published = {"02": ["clean.json", "more/clean-2.json"], "tested": ["tested.json"]}
    for row in listed:
        assert row["file"] in published.get(row["subset"], [row["file"]])
        assert row["sample_id"] == f"{row['subset']}/{Path(row['file']).stem}#{row['index']}"


def test_quarantine_and_events_tell_nothing_of_what_rows_say(prepared: Prepared) -> None:
    listed = " ".join(row["detail"] for row in pq.read_table(prepared.root / "store" / QUARANTINE_NAME).to_pylist())
    for secret in ("shape", "round", "square", "outside.png", "p1"):
        assert secret not in listed
        assert not any(secret in event for event in prepared.events)


def test_planted_leaks_are_caught(prepared: Prepared) -> None:
    manifest = prepared.store.manifest
    assert manifest.subsets["02"].leaked == 2
    found = [(leak.level, leak.subset, leak.split, leak.seen_subset, leak.num_rows) for leak in manifest.leaks]
    splits = {split for _, _, split, _, _ in found}
    assert splits <= set(SPLITS[:3])
    assert sorted((level, subset, seen, num) for level, subset, _, seen, num in found) == [
        ("near", "02", "tested", 1),
        ("pixels", "02", "tested", 1),
    ]
    assert manifest.copy_search.num_copies == 1
    where: dict[str, set[str]] = {}
    for row in all_rows(prepared.store, "image_hashes"):
        for image in row["image_hashes"]:
            where.setdefault(image, set()).add(row["split"])
    assert all(len(splits) == 1 for splits in where.values())
    leaked = hash_of(decode(encoded(picture(2003)), ImageLimits()))
    assert where[leaked] == {"sealed"}


def test_rows_that_show_the_same_are_listed_for_their_owner_alone(prepared: Prepared) -> None:
    path = on_disk(prepared.store.directory) / prepared.store.manifest.generation / TIED_ROWS_NAME
    assert path.stat().st_mode & 0o777 == OWNER_ONLY
    leaks = [pair for pair in read_tied_rows(path) if pair.is_leak]
    assert {(pair.level, pair.one.subset, pair.two.subset) for pair in leaks} == {
        ("pixels", "02", "tested"),
        ("near", "02", "tested"),
    }
    assert {(pair.one.outcome, pair.two.outcome) for pair in leaks} == {("leaked_row", "kept")}


def test_no_patient_is_in_two_splits_whatever_the_subset(prepared: Prepared) -> None:
    where: dict[str, set[str]] = {}
    subsets: dict[str, set[str]] = {}
    for row in all_rows(prepared.store, "group"):
        if row["group"] is not None:
            where.setdefault(row["group"], set()).add(row["split"])
            subsets.setdefault(row["group"], set()).add(row["subset"])
    assert len(where) == 40 + 30
    assert all(len(splits) == 1 for splits in where.values())
    assert sum(names == {"eyes-closed", "eyes-open"} for names in subsets.values()) == 30
    known = {name: counts.groups_known for name, counts in prepared.store.manifest.subsets.items()}
    assert known == {"02": True, "spoiled": False, "tested": False, "eyes-closed": True, "eyes-open": True}


def test_published_test_files_are_sealed(prepared: Prepared) -> None:
    assert prepared.store.manifest.subsets["tested"].splits == {"train": 0, "search": 0, "confirm": 0, "sealed": 10}


def test_stored_rows_are_whole(prepared: Prepared) -> None:
    table = prepared.store.read("02", "train")
    assert table.schema.names == ARROW_SCHEMA.names
    for row in table.to_pylist():
        index = int(row["sample_id"].rpartition("#")[2])
        # Both files begin with a multiple of three, so the position tells the label in either.
        assert row["answer"] == ("round", "square", "cross")[index % 3]
        assert row["answer"] == row["options"][row["answer_index"]]
        assert [hash_of(decode(data, ImageLimits())) for data in row["images"]] == row["image_hashes"]
        assert "letter" not in row["question"]
    assert table.column("order").to_pylist() == list(range(table.num_rows))


def test_a_shorter_draw_is_the_beginning_of_a_longer_one_and_balanced(prepared: Prepared) -> None:
    longer = prepared.store.read("02", "train", num_rows=30, columns=["sample_id", "label"])
    shorter = prepared.store.read("02", "train", num_rows=12, columns=["sample_id", "label"])
    assert shorter.equals(longer.slice(0, 12))
    assert sorted(longer.column("label").to_pylist()).count("round") == 10
    hashes = prepared.store.row_hashes("02", "train", 12)
    assert hashes == prepared.store.row_hashes("02", "train")[:12]
    assert len(set(hashes)) == 12


def test_open_questions_have_no_options(prepared: Prepared) -> None:
    for row in all_rows(prepared.store, "answer_kind", "answer_index", "options", "images"):
        if row["subset"] == "eyes-open":
            assert (row["answer_kind"], row["answer_index"], row["options"]) == ("open", -1, [])
            assert len(row["images"]) == 2


def test_preparing_twice_does_nothing(prepared: Prepared) -> None:
    def states() -> dict[Path, int]:
        root = on_disk(prepared.store.directory)
        files = [*root.rglob("*.parquet"), root / "manifest.json"]
        return {path: path.stat().st_mtime_ns for path in files}

    before = states()
    again = prepare_store(prepared.catalog, prepared.root / "store", quarantine_limit=0.5, max_image_mpx=1.0)
    assert again.was_current
    assert not prepared.result.was_current
    assert again.manifest == prepared.result.manifest
    assert states() == before
    with pytest.raises(QuarantineLimitError, match="spoiled"):
        prepare_store(prepared.catalog, prepared.root / "store", quarantine_limit=0.01, max_image_mpx=1.0)


def test_the_audit_counts_and_measures_blind_baselines(prepared: Prepared) -> None:
    audits = {name: audit_subset(prepared.store, name) for name in prepared.store.subsets}
    assert audits["02"].splits == prepared.store.manifest.subsets["02"].splits
    sealed = audits["tested"].blind["sealed"]
    assert sealed.num_closed == 10
    assert sealed.chance == pytest.approx(1 / 3)
    assert sealed.longest_option == pytest.approx(0.3)
    assert audits["eyes-open"].blind["train"].num_closed == 0
    assert audits["spoiled"].quarantined == prepared.store.manifest.subsets["spoiled"].quarantined
    assert audits["spoiled"].leaked == 0


def test_reading_what_is_not_there_says_what_is(prepared: Prepared) -> None:
    with pytest.raises(StoreError, match="Did you mean 'eyes-open'"):
        prepared.store.count("eyes-opn", "train")
    with pytest.raises(StoreError, match="no split"):
        prepared.store.read("02", "test")
    with pytest.raises(StoreError, match=r"has \d+ rows in split 'train', not 5000"):
        prepared.store.read("02", "train", num_rows=5000)
    with pytest.raises(StoreError, match="Did you mean 'label'"):
        prepared.store.read("02", "train", columns=["lable"])
    with pytest.raises(StoreError, match="no prepared store"):
        open_store(prepared.root)


def test_no_flipped_bit_of_a_page_goes_unnoticed(prepared: Prepared, tmp_path: Path) -> None:
    shutil.copytree(on_disk(prepared.store.directory), tmp_path / "store")
    store = open_store(tmp_path / "store")
    whole = store.read("tested", "sealed")
    (path,) = part_paths(store, "tested", "sealed")
    data = path.read_bytes()
    noticed = silent = 0
    # From behind the magic number to the footer: everything that holds rows.
    for position in range(4, len(data) - int.from_bytes(data[-8:-4], "little") - 8, 37):
        path.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
        try:
            changed = not store.read("tested", "sealed").equals(whole)
        except StoreError:
            noticed += 1
        else:
            assert not changed, f"byte {position} changed rows silently"
            silent += 1
        with pytest.raises(StoreError, match="damaged"):
            store.verify()
    assert noticed > silent
    path.write_bytes(data)
    assert store.verify() > 5
    path.write_bytes(data[:-1])
    with pytest.raises(StoreError, match="changed its size"):
        store.read("tested", "sealed")
    path.unlink()
    with pytest.raises(StoreError, match="is missing"):
        store.read("tested", "sealed")


def test_the_check_counts_everything_and_says_what_must_be_fixed(prepared: Prepared) -> None:
    found = check_store(prepared.store, prepared.catalog, sources=["02", "tested"], eval_sets=["02", "eyes-closed"])
    by_name = {subset.audit.name: subset for subset in found.subsets}
    assert set(by_name) == {"02", "spoiled", "tested", "eyes-closed", "eyes-open"}
    eyes = by_name["eyes-closed"]
    assert (eyes.num_closed, eyes.num_open, eyes.num_options, eyes.num_images) == (30, 0, {3: 30}, {2: 30})
    assert by_name["eyes-open"].num_open == 30
    assert by_name["02"].num_questions == 1
    outside_train = sum(num for split, num in by_name["02"].audit.splits.items() if split != "train")
    assert by_name["02"].repeated_questions == outside_train
    assert set(by_name["02"].text_only) == {"search", "confirm", "sealed"}
    assert by_name["spoiled"].text_only == {}
    # Published test files have nothing to train on; naming them as a source is the user's mistake.
    assert [str(remark) for remark in found.must_fix] == ["tested: no row to train on"]
    assert any("patients are unknown" in note.text for note in found.advice)
    json.dumps(as_plain(found))


@pytest.mark.parametrize("export_format", EXPORT_FORMATS)
def test_an_export_reads_back_as_the_rows_that_went_in(
    prepared: Prepared, export_format: ExportFormat, tmp_path: Path
) -> None:
    mix = {"02": 5, "eyes-closed": 3, "eyes-open": 2}
    folder = tmp_path / "out"
    assert export_rows(prepared.store, prepared.catalog, mix, folder, export_format) == 10
    if export_format == "hf":
        (table,) = (folder / "data").iterdir()
        features = json.loads(pq.read_schema(table).metadata[b"huggingface"])["info"]["features"]
        assert list(features) == pq.read_schema(table).names
        file, _, _ = unpack_table(table, tmp_path / "unpacked")
        reader = "hf_messages"
    else:
        file, reader = folder / "train.json", export_format
    if export_format == "sharegpt":
        (described,) = json.loads((folder / "dataset_info.json").read_text()).values()
        assert (folder / described["file_name"]).is_file()
        assert set(described["columns"].values()) == set(json.loads(file.read_text())[0])
    samples = [row for row in get_reader(reader)(file, subset="s") if isinstance(row, RawSample)]
    stored = [row for name, num in mix.items() for row in prepared.store.read(name, "train", num_rows=num).to_pylist()]
    assert len(samples) == len(stored)
    for sample, row in zip(samples, stored, strict=True):
        assert (sample.question, list(sample.options), sample.answer) == (
            row["question"],
            row["options"],
            row["answer"],
        )
        assert sample.answer_index == row["answer_index"]
        assert [(file.parent / path).read_bytes() for path in sample.image_paths] == row["images"]
    card = (folder / "README.md").read_text()
    assert "| 02 | CT | Lung | 02 | 5 | not stated |" in card
    with pytest.raises(UserError, match="is not empty"):
        export_rows(prepared.store, prepared.catalog, mix, folder, export_format)


def test_an_export_of_more_rows_than_there_are_writes_nothing(prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="rows in split 'train'"):
        export_rows(prepared.store, prepared.catalog, {"02": 10_000}, tmp_path / "out", "llava")
    assert not (tmp_path / "out").exists()
