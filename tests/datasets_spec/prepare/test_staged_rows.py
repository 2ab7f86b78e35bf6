"""Staged rows are found by where they lie: what one costs does not grow with how many there are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.prepare.read_rows import write_block
from datasets_spec.prepare.staged_rows import (
    LINE_COLUMNS,
    blocks_read,
    ordered_rows,
    read_block,
    staged_table,
    write_staged,
)
from tests.makers.staging import read_staged

NUM_BLOCKS, ROWS_A_BLOCK = 12, 5
TEXTS = ("frage 1?\n", "\u2028 \u00e4\u6f22", "")


def staged_row(index: int) -> dict[str, Any]:
    texts = {"question": TEXTS[index % 3], "options": ["a", TEXTS[1]], "answer": "a", "row_hash": f"hash {index}"}
    return {"subset": "02", "role": "pool", "file": "a.json", "index": index, **texts}


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("staging")
    for block in range(NUM_BLOCKS):
        rows = [staged_row(block * ROWS_A_BLOCK + number) for number in range(ROWS_A_BLOCK)]
        write_staged(staged_table(rows), folder, f"{block:02d}")
    return folder


@pytest.fixture(scope="module")
def light_rows(staging: Path) -> list[dict[str, Any]]:
    return sorted(read_staged(staging, ["index", "row_hash"]), key=lambda row: int(row["index"]))


def order_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    places = {"blocks": "block", "offsets": "offset", "indexes": "index"}
    return {name: [row[column] for row in rows] for name, column in places.items()}


@given(st.lists(st.integers(0, NUM_BLOCKS * ROWS_A_BLOCK - 1), max_size=30))
def test_any_order_of_rows_comes_back_as_ordered(
    staging: Path, light_rows: list[dict[str, Any]], indexes: list[int]
) -> None:
    rows = ordered_rows(str(staging), order_of([light_rows[index] for index in indexes]))
    wanted = staged_table([staged_row(index) for index in indexes]).select(LINE_COLUMNS).to_pylist()
    assert rows == wanted


def test_a_row_is_read_without_looking_at_other_blocks(
    staging: Path, light_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    for name in ("01.jsonl", "06.jsonl"):
        shutil.copy(staging / name, tmp_path)
    assert all(ordered_rows(str(tmp_path), order_of([light_rows[index] for index in (7, 31, 8, 9, 30)])))


def test_what_is_not_where_it_should_be_is_not_seen(staging: Path, light_rows: list[dict[str, Any]]) -> None:
    order = order_of(light_rows[:3])
    assert ordered_rows(str(staging / "elsewhere"), order) == [None] * 3
    for wrong in (order["offsets"][2], order["offsets"][1] + 1, 1 << 20):
        found = ordered_rows(str(staging), {**order, "offsets": [0, wrong, order["offsets"][2]]})
        assert [row is None for row in found] == [False, True, False]


def test_a_block_that_is_staged_again_replaces_itself(tmp_path: Path) -> None:
    block = staged_table([{**staged_row(index), "reason": "malformed_row"} for index in range(3)])
    for _ in range(2):
        assert write_block(block, staging=tmp_path).to_pylist() == [{"num_rows": 3}]
    (name,) = blocks_read(tmp_path)
    assert read_block(tmp_path, name).equals(block)
    for _ in range(2):
        write_staged(block, tmp_path, name)
    assert [row["index"] for row in read_staged(tmp_path, ["index"])] == [0, 1, 2]
