"""What is read from a store: whole rows in order, or an error with what there is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datasets_spec.errors import StoreError
from datasets_spec.images.decode import decode, hash_of
from datasets_spec.images.limits import ImageLimits
from datasets_spec.sample import ARROW_SCHEMA
from datasets_spec.store.store import open_store
from tests.makers.on_disk import on_disk, part_paths
from tests.makers.prepared_corpus import Prepared, all_rows

pytestmark = pytest.mark.ray


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
