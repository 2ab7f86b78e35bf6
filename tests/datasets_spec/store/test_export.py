"""Rows of a store in the formats of other tools."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from datasets_spec.errors import StoreError, UserError
from datasets_spec.readers import get_reader
from datasets_spec.readers.unpack import unpack_table
from datasets_spec.sample import RawSample
from datasets_spec.store.export import EXPORT_FORMATS, ExportFormat, export_rows
from tests.makers.prepared_corpus import Prepared

pytestmark = pytest.mark.ray


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
