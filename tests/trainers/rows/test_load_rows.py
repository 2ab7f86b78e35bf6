"""A study's rows out of a store: as many as trials may read, in any number of blocks, through no single process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from datasets_spec.store.store import Store
from tests.makers.families import toy_row
from tests.makers.study_fixture import open_study, write_store
from trainers.backbone.backbone import Backbone, load_backbone
from trainers.backbone_spec import PHANTOM_DIR, BackboneSpec
from trainers.rows import encoded_blocks, row_blocks
from trainers.rows.encoded_blocks import RowEncoder, load_encoded_rows
from trainers.rows.row_blocks import load_row_blocks, read_partitions

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]
WANTED = {("ct-lung", "train"): 5, ("ct-brain", "train"): 12, ("mr-lung", "search"): 4, ("us-heart", "train"): 0}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_store(open_study(tmp_path_factory.mktemp("study")), images=toy_row(0)["images"])


@pytest.mark.parametrize("is_in_files", [False, True])
def test_the_first_rows_are_those_of_the_store(store: Store, tmp_path: Path, is_in_files: bool) -> None:
    folder = tmp_path / "rows" if is_in_files else None
    rows = load_row_blocks(store, WANTED, folder=folder)
    assert set(rows.parts) == {place for place, number in WANTED.items() if number}
    assert not is_in_files or sorted(tmp_path.glob("rows/*.arrow"))
    for (subset, split), pieces in rows.parts.items():
        number = WANTED[(subset, split)]
        assert sum(piece.num_rows for piece in pieces) == number
        for asked in (None, 1, number):
            expected = store.read(subset, split, num_rows=asked or number, columns=row_blocks.COLUMNS)
            assert rows.read(subset, split, asked).to_pylist() == expected.to_pylist()
    assert rows.composition({"ct-brain": 3, "ct-lung": 2})["subset"].to_pylist() == ["ct-brain"] * 3 + ["ct-lung"] * 2


def test_rows_beyond_those_are_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 1)
    requests = [{"subset": "ct-brain", "split": "train", "num_rows": 5}]
    tables = list(read_partitions(pa.Table.from_pylist(requests), store=store))
    assert [row["order"] for table in tables for row in table.to_pylist()] == list(range(5))


def test_images_do_not_pass_through_the_driver(tmp_path: Path) -> None:
    """Ten megabytes of images, of which six may be read."""
    store = write_store(open_study(tmp_path), images=[os.urandom(300_000)])
    wanted = {("ct-lung", "train"): 8, ("ct-brain", "train"): 12}
    before = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(before)
    pa.set_memory_pool(counted)
    try:
        rows = load_row_blocks(store, wanted)
        most = counted.max_memory()
    finally:
        pa.set_memory_pool(before)
    assert most < 300_000  # not one of them
    table = rows.read("ct-brain", "train", 3)
    assert [len(row["images"][0]) for row in table.to_pylist()] == [300_000] * 3


class CountingEncoder(RowEncoder):
    """Writes down that it has loaded the backbone, beside the backbone."""

    def _load(self, spec: BackboneSpec) -> Backbone:
        with (Path(spec.model) / "loads.txt").open("a") as file:
            file.write(f"{os.getpid()}\n")
        return load_backbone(spec)


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
