"""What every reader promises, in every kind of file that can hold its records."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_spec.errors import ReaderError
from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.prepare.read_rows import read_files
from datasets_spec.readers import FORMATS, MADE_QUESTIONS
from datasets_spec.sample import QuarantinedRow, RawSample
from tests.makers.corpus import LABELS
from tests.makers.formats import FORMAT_CASES, QUESTION, write_records

CASES = [(name, suffix) for name, case in FORMAT_CASES.items() for suffix in case.suffixes]
# Positions of good records and, by the number of the field that is emptied, of bad ones.
PLANS = st.lists(st.sampled_from([None, 0, 1]), min_size=1, max_size=12)


def test_every_format_is_held_to_the_contract() -> None:
    assert tuple(FORMAT_CASES) == FORMATS


def records_of(name: str, plan: list[int | None]) -> list[dict[str, Any]]:
    case = FORMAT_CASES[name]
    records = []
    for index, emptied in enumerate(plan):
        record = case.record(index, f"im ages/{index} (1).png", index % 3)
        if emptied is not None:
            record[case.needed[emptied]] = None
        records.append(record)
    return records


@pytest.mark.parametrize(("name", "suffix"), CASES)
@given(plan=PLANS)
@settings(max_examples=15)
def test_every_record_is_one_sample_or_one_reason_in_order(name: str, suffix: str, plan: list[int | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"f{suffix}"
        write_records(path, records_of(name, plan))
        rows = list(FORMAT_CASES[name].reader(name)(path, subset="s"))
        assert rows == list(FORMAT_CASES[name].reader(name)(path, subset="s"))
    assert [row.index for row in rows] == list(range(len(plan)))
    assert [isinstance(row, QuarantinedRow) for row in rows] == [emptied is not None for emptied in plan]
    for row in rows:
        if isinstance(row, QuarantinedRow):
            assert (row.subset, row.file) == ("s", f"f{suffix}")


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_a_record_says_the_same_in_every_format_and_file(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"f{suffix}"
    write_records(path, records_of(name, [None, None]))
    _, sample = FORMAT_CASES[name].reader(name)(path, subset="s")
    assert isinstance(sample, RawSample)
    if name not in MADE_QUESTIONS:
        assert (sample.question, sample.options, sample.answer_index) == (QUESTION, LABELS, 1)
    assert (sample.answer, sample.answer_kind, sample.label) == (LABELS[1], "closed", LABELS[1])
    assert (set(sample.options), sample.options[sample.answer_index]) == (set(LABELS), LABELS[1])
    assert sample.image_paths == ("im ages/1 (1).png",)
    assert sample.flags == ()


@pytest.mark.parametrize(("name", "suffix"), CASES)
@pytest.mark.parametrize("column", ["patient_id", "Patient", "study_id"])
def test_a_patient_that_a_record_names_is_its_group(name: str, suffix: str, column: str, tmp_path: Path) -> None:
    path = tmp_path / f"f{suffix}"
    records = records_of(name, [None, None, None])
    for record, patient in zip(records, ("P7", " P7 ", None), strict=True):
        record[column] = patient
    write_records(path, records)
    rows = [row for row in FORMAT_CASES[name].reader(name)(path, subset="s") if isinstance(row, RawSample)]
    assert [row.group for row in rows] == ["P7", "P7", None]


def test_numbers_of_patients_with_gaps_are_whole(tmp_path: Path) -> None:
    records = [{**record, "patient": n} for record, n in zip(records_of("llava", [None] * 2), (7, None), strict=True)]
    path = tmp_path / "f.parquet"
    pd.DataFrame(records).to_parquet(path)
    rows = [row for row in FORMAT_CASES["llava"].reader("llava")(path, subset="s") if isinstance(row, RawSample)]
    assert [row.group for row in rows] == ["7", None]


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_staging_loses_no_row_between_its_blocks(name: str, suffix: str, tmp_path: Path) -> None:
    plan = [None if index % 7 else index % 2 for index in range(600)]
    path = tmp_path / f"f{suffix}"
    write_records(path, records_of(name, plan))
    source = SubsetSource(
        format=name,
        image_root=".",
        answer_kind="any",
        source_pattern=None,
        group_pattern=None,
        namespace="s",
        labelled=FORMAT_CASES[name].about,
    )
    files = pa.table({"subset": ["s"], "role": ["pool"], "file": ["f"], "path": [str(path)]})
    blocks = list(read_files(files, sources={"s": source}))
    assert len(blocks) > 1
    rows = [row for block in blocks for row in block.to_pylist()]
    assert [row["index"] for row in rows] == list(range(600))
    assert sum(row["reason"] is None for row in rows) == sum(emptied is None for emptied in plan)


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_details_and_refusals_hold_no_text_of_the_file(name: str, suffix: str, tmp_path: Path) -> None:
    record = FORMAT_CASES[name].record(0, "secret.png", 0)
    secret = {key: "secret" if isinstance(value, str) else value for key, value in record.items()}
    path = tmp_path / f"f{suffix}"
    write_records(path, [secret])
    for row in FORMAT_CASES[name].reader(name)(path, subset="s"):
        if isinstance(row, QuarantinedRow):
            assert "secret" not in row.detail
    path.write_bytes(b"secret \xff secret")
    if suffix == ".jsonl":
        (row,) = FORMAT_CASES[name].reader(name)(path, subset="s")
        assert isinstance(row, QuarantinedRow)
        assert "secret" not in row.detail
    else:
        with pytest.raises(ReaderError) as caught:
            list(FORMAT_CASES[name].reader(name)(path, subset="s"))
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_files_that_are_not_there_or_empty_are_refused_or_have_no_rows(name: str, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="cannot read"):
        list(FORMAT_CASES[name].reader(name)(tmp_path / f"none{suffix}", subset="s"))
    empty = tmp_path / f"empty{suffix}"
    empty.touch()
    if suffix == ".jsonl":
        assert list(FORMAT_CASES[name].reader(name)(empty, subset="s")) == []
    else:
        with pytest.raises(ReaderError):
            list(FORMAT_CASES[name].reader(name)(empty, subset="s"))
