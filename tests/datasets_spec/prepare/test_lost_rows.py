"""No row is lost in silence between reading and storing; here without Ray, on three nodes in test_several_nodes.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from datasets_spec.errors import StoreError
from datasets_spec.prepare import write_rows
from datasets_spec.prepare.inputs import DataFile, SubsetSource
from datasets_spec.prepare.shared_folder import TOKEN_NAME, prove_folder
from datasets_spec.prepare.staged_rows import blocks_read
from datasets_spec.prepare.survey import Survey, require_balance, survey_staging
from datasets_spec.prepare.write_rows import order_table, require_parts, write_parts
from datasets_spec.splits.row_plan import RowPlan
from datasets_spec.splits.row_table import Rows
from datasets_spec.store.secret import make_secret
from tests.makers.corpus import mat_record, save_picture
from tests.makers.staging import finish_in, read_into, read_staged
from tests.makers.syncs import record_syncs

SUBSET = "02"
NUM_ROWS = 600


def read_corpus(root: Path) -> tuple[list[DataFile], dict[str, SubsetSource], Path]:
    """A file of 600 rows and an empty one, read, finished and staged."""
    save_picture(root / "images" / "a.png", 1)
    (root / "full.json").write_text(json.dumps([mat_record(n, "a.png", n % 3) for n in range(NUM_ROWS)]))
    (root / "empty.json").write_text("[]")
    files = [DataFile(subset=SUBSET, role="pool", file=name, path=root / name) for name in ("empty.json", "full.json")]
    source = SubsetSource(
        format="med_mat",
        image_root=str(root / "images"),
        answer_kind="any",
        source_pattern=None,
        group_pattern=None,
        namespace=SUBSET,
    )
    columns = {name: [getattr(item, name) for item in files] for name in ("subset", "role", "file")}
    sources, staging = {SUBSET: source}, root / "staging"
    read_into(staging, pa.table({**columns, "path": [str(item.path) for item in files]}), sources)
    opened = finish_in(root / "store", staging, sources)
    # Questions about one image open it once.
    assert opened.facts.num_rows == 1
    return files, sources, staging


def holding(staging: Path, *, index: int) -> str:
    """The block whose first row has an index."""
    return next(str(row["block"]) for row in read_staged(staging, ["index"]) if row["index"] == index)


def test_every_row_that_was_read_is_counted(tmp_path: Path) -> None:
    files, sources, staging = read_corpus(tmp_path)
    survey = survey_staging(staging, files, sources)
    assert survey.tallies[SUBSET].read == len(survey.rows) == NUM_ROWS
    # What a row that only counts would do to images and reasons.
    assert len(survey.rows.images.names) == 1
    assert not len(survey.aside)


@pytest.mark.parametrize(
    ("lost", "found"),
    [
        ("block", rf"{SUBSET}: full.json: 344 of 600 rows came back"),
        ("count", rf"{SUBSET}: full.json: 600 rows came back, and not how many were read"),
        ("empty", rf"{SUBSET}: empty.json: 0 rows came back, and not how many were read"),
        ("all", r"(?s)empty.json: 0 rows.*full.json: 0 rows"),
    ],
)
def test_rows_that_do_not_come_back_stop_the_preparation(tmp_path: Path, lost: str, found: str) -> None:
    files, sources, staging = read_corpus(tmp_path)
    # The empty file's count, the blocks of the full one, its count.
    empty, first, *others, count = blocks_read(staging)
    gone = {"block": [first], "count": [count], "empty": [empty], "all": [empty, first, *others, count]}[lost]
    for name in gone:
        (staging / f"{name}.arrow").unlink()
    with pytest.raises(StoreError, match=found):
        survey_staging(staging, files, sources)


def test_rows_read_are_rows_stored_and_rows_set_aside(tmp_path: Path) -> None:
    files, sources, staging = read_corpus(tmp_path)
    survey = survey_staging(staging, files, sources)
    split = np.zeros(NUM_ROWS, np.int8)
    require_balance(survey, RowPlan(split=split, partitions={(SUBSET, "train"): every(survey)}))
    short = Rows(table=survey.rows, positions=np.arange(NUM_ROWS - 1))
    with pytest.raises(StoreError, match=r"full.json: of 600 rows, 599 are stored or set aside"):
        require_balance(survey, RowPlan(split=split, partitions={(SUBSET, "train"): short}))


def every(survey: Survey) -> Rows:
    return Rows(table=survey.rows, positions=np.arange(len(survey.rows)))


def written(root: Path, staging: Path, rows: Rows) -> tuple[pa.Table, list[dict[str, Any]]]:
    orders = order_table(SUBSET, "train", rows)
    root.mkdir(parents=True, exist_ok=True)
    places = {"staging": str(staging), "generation": str(root), "secret_path": str(make_secret(root.parent))}
    parts = write_parts(orders, **places)
    return orders, parts.to_pylist()


def test_parts_must_be_where_the_driver_looks_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, sources, staging = read_corpus(tmp_path)
    make_secret(tmp_path)
    monkeypatch.setattr(write_rows, "MAX_ROWS_PER_PART", 512)
    synced = record_syncs(monkeypatch)
    orders, parts = written(tmp_path / "g", staging, every(survey_staging(staging, files, sources)))
    assert len(parts) == 2
    assert synced == [str(tmp_path / "g" / part["path"]) for part in parts]
    require_parts([orders], parts, tmp_path / "g")
    with pytest.raises(StoreError, match=r"part-00001.parquet: nothing written of 88 rows"):
        require_parts([orders], parts[:1], tmp_path / "g")
    with pytest.raises(StoreError, match=r"part-00000.parquet: 511 rows written of 512 rows"):
        require_parts([orders], [parts[0] | {"num_rows": 511}, parts[1]], tmp_path / "g")
    # The other node's disk, and a disk that was full.
    with pytest.raises(StoreError, match=r"2 parts are not in .*elsewhere:\n .*bytes written, nothing found"):
        require_parts([orders], parts, tmp_path / "elsewhere")
    path = tmp_path / "g" / parts[0]["path"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=rf"{parts[0]['num_bytes']} bytes written, {parts[0]['num_bytes'] - 1} bytes"):
        require_parts([orders], parts, tmp_path / "g")


def test_a_node_without_the_staged_rows_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, sources, staging = read_corpus(tmp_path)
    monkeypatch.setattr(write_rows, "MAX_ROWS_PER_PART", 512)
    rows = every(survey_staging(staging, files, sources))
    orders, parts = written(tmp_path / "g", tmp_path / "elsewhere", rows)
    nothing = r"sees 0 of 512 staged rows of '02', and not full.json row 0; the node .* sees 0 of 88"
    with pytest.raises(StoreError, match=nothing):
        require_parts([orders], parts, tmp_path / "g")
    (staging / f"{holding(staging, index=256)}.jsonl").unlink()
    orders, parts = written(tmp_path / "g", staging, rows)
    with pytest.raises(StoreError, match=r"sees 256 of 512 staged rows of '02', and not full.json row 256"):
        require_parts([orders], parts, tmp_path / "g")


def test_a_folder_is_proved_by_its_token(tmp_path: Path) -> None:
    proof = tmp_path / "nodes"
    assert prove_folder(str(proof), "secret", "n1") == "does not see the folder of the store"
    assert not proof.exists()
    proof.mkdir()
    assert prove_folder(str(proof), "secret", "n1") == "does not see the folder of the store"
    (proof / TOKEN_NAME).write_text("another")
    assert prove_folder(str(proof), "secret", "n1") == "sees another folder in the place of the store"
    (proof / TOKEN_NAME).write_text("secret")
    assert prove_folder(str(proof), "secret", "n1") is None
    assert (proof / "n1").read_text() == "secret"
    (proof / "n2").mkdir()
    assert (prove_folder(str(proof), "secret", "n2") or "").startswith("cannot use the folder of the store: ")
    inputs = [str(tmp_path), str(tmp_path / "images")]
    found = prove_folder(str(proof), "secret", "n1", inputs)
    assert found == f"does not see {tmp_path / 'images'} (1 of 2 data files and image folders)"
