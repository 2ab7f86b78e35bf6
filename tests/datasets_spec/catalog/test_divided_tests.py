"""A target that has nothing but a published test set."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets_spec.catalog.divided_tests import divided_tests_line
from datasets_spec.errors import SpecError
from datasets_spec.images.limits import ImageLimits
from datasets_spec.prepare.inputs import data_files, inputs_fingerprint
from datasets_spec.splits.row_plan import POOL, TEST
from tests.makers.corpus import subset_lines, write_catalog, write_json

SHARES = {"train": 0, "search": 0.3, "confirm": 0.3, "sealed": 0.4}


def test_own_shares_divide_the_rows_of_a_subset_without_a_pool(tmp_path: Path) -> None:
    subsets = [
        subset_lines("divided", test=["a.json"], shares=SHARES),
        subset_lines("whole", test=["b.json"]),
        subset_lines("both", pool=["c.json"], test=["d.json"], shares=SHARES),
    ]
    catalog = write_catalog(tmp_path, subsets)
    assert {item.file: item.role for item in data_files(catalog)} == {
        "a.json": POOL, "b.json": TEST, "c.json": POOL, "d.json": TEST,
    }  # fmt: skip
    told = divided_tests_line(catalog, catalog.names)
    assert told is not None
    assert told.startswith("divided: its published test rows are divided (30% guide the search, 30% compare the")
    assert "whole" not in told
    assert "both" not in told
    assert divided_tests_line(catalog, ["whole", "both"]) is None


def test_test_rows_are_never_trained_on(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="never trained on: give `train: 0`"):
        write_catalog(tmp_path, [subset_lines("a", test=["a.json"], shares={**SHARES, "train": 0.4, "sealed": 0})])


def test_dividing_is_a_reason_to_prepare_again(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [])
    whole, divided = (
        inputs_fingerprint(
            write_catalog(tmp_path, [subset_lines("a", test=["a.json"], **more)]), seed=0, limits=ImageLimits()
        )
        for more in ({}, {"shares": SHARES})
    )
    assert whole != divided
