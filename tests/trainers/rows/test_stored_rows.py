"""A study's rows out of a store: read where they lie, or encoded by a job in any number of blocks."""

from __future__ import annotations

import os
import pickle
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from datasets_spec.errors import StoreError
from datasets_spec.store.store import Store
from tests.makers.families import tiny_backbone, toy_row
from tests.makers.packed_store import packed_store
from tests.makers.study_fixture import open_study, write_store
from tests.makers.table_rows import TableRows
from trainers.backbone.backbone import Backbone, load_backbone
from trainers.backbone_spec import PHANTOM_DIR, BackboneSpec
from trainers.prompts.encoder import Example
from trainers.rows import encoded_blocks, feeds, prepared_questions
from trainers.rows.encoded_blocks import RowEncoder, load_encoded_rows, read_partitions
from trainers.rows.encoded_samples import EncodedSample, encode_one
from trainers.rows.feeds import composition_feed, partition_feed
from trainers.rows.prepared_questions import PreparedQuestions, memory_for_questions
from trainers.rows.stored_rows import COLUMNS, StoredRows

WANTED = {("ct-lung", "train"): 5, ("ct-brain", "train"): 12, ("mr-lung", "search"): 4, ("us-heart", "train"): 0}
IMAGES = [toy_row(i)["images"][0] for i in range(3)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_store(open_study(tmp_path_factory.mktemp("study")), images=IMAGES[:1])


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return packed_store(tmp_path_factory.mktemp("packed"), {"a": {"train": 7, "search": 5}, "b": {"train": 4}}, IMAGES)


def test_rows_with_their_images_are_those_of_the_store(store: Store, packed: Store) -> None:
    for source, subset in ((store, "ct-brain"), (packed, "a")):
        rows = StoredRows(store=source)
        for split in ("train", "search"):
            for asked in (None, 1, 3):
                expected = source.read(subset, split, num_rows=asked, columns=COLUMNS).to_pylist()
                found = rows.read(subset, split, asked).to_pylist()
                assert [{**rows.with_images(row)} for row in found] == [
                    {**row, **{name: kept[name] for name in kept if name == "places"}}
                    for row, kept in zip(expected, found, strict=True)
                ]
    both = StoredRows(store=packed).composition({"b": 3, "a": 2})
    assert both["sample_id"].to_pylist() == ["a/train#0", "a/train#1", "b/train#0", "b/train#1", "b/train#2"]


def test_tables_hold_places_and_no_image(packed: Store) -> None:
    table = StoredRows(store=packed).read("a", "train")
    assert "images" not in table.column_names
    assert table.nbytes < 7 * 400


def test_more_rows_than_there_are_is_an_error(packed: Store) -> None:
    with pytest.raises(StoreError, match="7 rows in split 'train', not 8"):
        StoredRows(store=packed).read("a", "train", 8)
    with pytest.raises(StoreError, match="no subset 'absent'"):
        StoredRows(store=packed).composition({"absent": 1})


def test_questions_are_read_once_a_process_and_travel_without_what_was_read(
    packed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = StoredRows(store=packed)
    first = rows.read("a", "search")
    assert len(pickle.dumps(rows)) < 20_000
    assert pickle.loads(pickle.dumps(rows)).read("a", "search").equals(first)
    monkeypatch.setattr(packed, "read", None)
    assert rows.read("a", "search", 2).equals(first.slice(0, 2))


def test_questions_with_images_in_their_rows_are_not_kept(store: Store) -> None:
    rows = StoredRows(store=store)
    assert "images" in rows.read("ct-brain", "search", 2).column_names
    assert not rows._asked


def test_memory_for_questions_is_shared_by_the_slots_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(prepared_questions, "_CGROUP_LIMIT", limit)
    whole = memory_for_questions(1)
    limit.write_text("max\n")
    assert memory_for_questions(1) == whole
    limit.write_text(f"{100 * 2**20}\n")
    assert memory_for_questions(1) == memory_for_questions(8) == 5 * 2**20
    assert memory_for_questions(80) == 2**19


def test_a_feed_prepares_images_out_of_packs(packed: Store) -> None:
    backbone = tiny_backbone("llava")
    rows = StoredRows(store=packed)
    for feed, subset, split in (
        (composition_feed(rows, backbone, {"a": 4}), "a", "train"),
        (partition_feed(rows, backbone, "a", "search", 2), "a", "search"),
    ):
        expected = packed.read(subset, split, columns=COLUMNS).to_pylist()
        for place in (0, 1):
            pixels = feed.prompt_inputs(feed.take([place]))["pixel_values"]
            image = expected[place]["images"][0]
            alone = {**toy_row(0), "images": [image]}
            table = TableRows(tables={("a", "train"): pa.Table.from_pylist([alone])})
            whole = partition_feed(table, backbone, "a", "train")
            assert torch.equal(pixels, whole.prompt_inputs(whole.take([0]))["pixel_values"])


def prepared_times(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    times: Counter[str] = Counter()

    def count(encoder: Any, example: Example) -> EncodedSample:
        times[example.sample_id] += 1
        return encode_one(encoder, example)

    monkeypatch.setattr(feeds, "encode_one", count)
    return times


def test_questions_are_prepared_once_for_all_trials_of_a_process(
    packed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, other = tiny_backbone("llava"), tiny_backbone("llava")
    times, rows = prepared_times(monkeypatch), StoredRows(store=packed)
    for _ in range(3):
        partition_feed(rows, backbone, "a", "search").take(range(5))
        composition_feed(rows, backbone, {"a": 2}).take(range(2))
    assert {times[f"a/search#{i}"] for i in range(5)} == {1}
    assert {times[f"a/train#{i}"] for i in range(2)} == {3}
    partition_feed(rows, other, "a", "search").take([0])  # prepared by another encoder, so not the same
    assert times["a/search#0"] == 2


def test_no_more_questions_are_kept_than_memory_is_given(packed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone("llava")
    one = StoredRows(store=packed)
    partition_feed(one, backbone, "a", "search").take([0])
    size = one.questions.num_bytes
    assert size > 0
    rows = StoredRows(store=packed, questions=PreparedQuestions(2 * size))
    times = prepared_times(monkeypatch)
    for _ in range(2):
        partition_feed(rows, backbone, "a", "search").take(range(5))
    assert sorted(times.values()) == [1, 1, 2, 2, 2]
    assert rows.questions.num_bytes == 2 * size


def test_rows_beyond_those_are_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded_blocks, "BLOCK_BYTES", 1)
    requests = [{"subset": "ct-brain", "split": "train", "num_rows": 5}]
    tables = list(read_partitions(pa.Table.from_pylist(requests), store=store))
    assert [row["order"] for table in tables for row in table.to_pylist()] == list(range(5))


class CountingEncoder(RowEncoder):
    """Writes down that it has loaded the backbone, beside the backbone."""

    def _load(self, spec: BackboneSpec) -> Backbone:
        with (Path(spec.model) / "loads.txt").open("a") as file:
            file.write(f"{os.getpid()}\n")
        return load_backbone(spec)


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_every_encoder_loads_the_backbone_once_whatever_there_is_to_encode(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    shutil.copytree(PHANTOM_DIR, model)
    monkeypatch.setattr(encoded_blocks, "RowEncoder", CountingEncoder)
    monkeypatch.setattr(encoded_blocks, "BATCH_ROWS", 2)  # 11 tables, 3 blocks
    spec = BackboneSpec(model=str(model)).resolved(gpus_per_worker=0)
    rows = load_encoded_rows(store, WANTED, spec, num_encoders=1, num_threads=1, gpus_per_encoder=0.0)
    assert len((model / "loads.txt").read_text().splitlines()) == 1
    for place, number in WANTED.items():
        if number:
            expected = store.read(*place, num_rows=number, columns=["sample_id"])["sample_id"].to_pylist()
            samples = rows.samples(*place)
            assert [sample.example.sample_id for sample in samples] == expected
            assert all(isinstance(sample.features, torch.Tensor) for sample in samples)
