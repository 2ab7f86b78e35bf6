from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from math import inf, nan
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets_spec.errors import ReaderError, UserError
from datasets_spec.readers import get_reader
from datasets_spec.readers.unpack import unpack_table
from datasets_spec.sample import RawSample
from tests.makers.corpus import encoded, picture
from tests.makers.formats import messages_record


def test_images_inside_a_table_become_files_that_its_rows_name(tmp_path: Path) -> None:
    data = [encoded(picture(number), kind) for number, kind in ((1, "PNG"), (2, "JPEG"), (1, "PNG"))]
    rows = [
        messages_record(index, "", index) | {"images": [{"bytes": image, "path": "../../a.png"}]}
        for index, image in enumerate(data)
    ]
    table = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table)
    with pytest.raises(ReaderError, match="recombine data unpack train"):
        list(get_reader("hf_messages")(table, subset="s"))
    out, num_rows, num_images = unpack_table(table, tmp_path / "out")
    assert (num_rows, num_images) == (3, 2)
    samples = list(get_reader("hf_messages")(out, subset="s"))
    assert all(isinstance(sample, RawSample) for sample in samples)
    named = [tmp_path / "out" / sample.image_paths[0] for sample in samples if isinstance(sample, RawSample)]
    assert [path.read_bytes() for path in named] == data
    assert {path.suffix for path in named} == {".png", ".jpg"}
    with pytest.raises(UserError, match="stays as it is"):
        unpack_table(table, tmp_path / "out")


def test_columns_that_json_cannot_hold_cost_no_row(tmp_path: Path) -> None:
    image = {"bytes": encoded(picture(1)), "path": None}
    asked = {"image": image, "question": "Which organ?", "answer": "lung"}
    rows = [
        asked | {"age": nan, "scores": [inf, 1.5], "when": date(2020, 1, 31), "dose": Decimal("0.50")},
        asked | {"age": 3.0, "scores": None, "when": None, "dose": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    out, num_rows, _ = unpack_table(tmp_path / "train.parquet", tmp_path / "out")
    samples = list(get_reader("table")(out, subset="s"))
    assert [type(sample) for sample in samples] == [RawSample] * num_rows == [RawSample] * 2
    first = json.loads(out.read_text(encoding="utf-8").splitlines()[0])
    assert (first["age"], first["scores"], first["when"], first["dose"]) == (None, [None, 1.5], "2020-01-31", "0.50")


def test_a_damaged_table_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    table = tmp_path / "train.parquet"
    table.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(ReaderError, match="cannot be unpacked"):
        unpack_table(table, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["images"]
