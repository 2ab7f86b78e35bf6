"""The way in, walked once through Ray on a small corpus that holds one of everything."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from datasets_spec.errors import (
    QuarantineLimitError,
)
from datasets_spec.images.decode import decode, hash_of
from datasets_spec.images.limits import ImageLimits
from datasets_spec.prepare.prepare_store import prepare_store
from datasets_spec.sample import SPLITS
from datasets_spec.store.secret import OWNER_ONLY
from datasets_spec.store.store import QUARANTINE_NAME, ROWS_NAME
from datasets_spec.store.tied_rows import TIED_ROWS_NAME, read_tied_rows
from tests.makers.corpus import (
    encoded,
    picture,
)
from tests.makers.on_disk import on_disk
from tests.makers.prepared_corpus import Prepared, all_rows

pytestmark = pytest.mark.ray


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
