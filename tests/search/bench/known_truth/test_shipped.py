"""Tables as Parquet, by name, and with another seed first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from datasets_spec.errors import UserError
from search.bench.known_truth.shipped import cluster_name, open_table, read_parquet, write_parquet
from search.bench.known_truth.table import KnownTruthTable, save_table
from search.bench.phantom.plan import load_plan
from search.bench.phantom.rows import make_rows
from tests.makers.made_table import made_table


@pytest.fixture
def table() -> KnownTruthTable:
    made = made_table("small", num_sources=3, num_targets=2, num_seeds=3, num_items=50, proxy_noise=None)
    sources = (
        ("ct", "lung", "grading", "none"),
        ("mri", "bone", "staging", "none"),
        ("oct", "kidney", "staging", "none"),
    )
    targets = (("ct", "bone", "grading", "none"), ("ct", "bone", "grading", "temporal"))
    return replace(made, source_mat=sources, target_mat=targets)  # fmt: skip


def test_nothing_is_lost_on_the_way(table: KnownTruthTable, tmp_path: Path) -> None:
    read = open_table(write_parquet(table, tmp_path / "small.parquet"))
    assert (read.name, read.source_mat, read.target_mat) == ("small", table.source_mat, table.target_mat)
    np.testing.assert_array_equal(read.subsets, table.subsets)
    np.testing.assert_allclose(read.val, table.val, atol=1e-9)
    np.testing.assert_allclose(read.test, table.test, atol=1e-9)
    assert read.proxy is None
    proxy = np.linspace(0, 1, table.val[0].size).reshape(table.val[0].shape)
    with_proxy = open_table(write_parquet(replace(table, proxy=proxy), tmp_path / "small.parquet"))
    assert with_proxy.proxy is not None
    np.testing.assert_allclose(with_proxy.proxy, proxy, atol=1e-7)
    assert open_table(save_table(table, tmp_path / "small.npz")).name == "small"


def test_missing_rows_columns_and_files_are_refused(table: KnownTruthTable, tmp_path: Path) -> None:
    path = write_parquet(table, tmp_path / "small.parquet")
    whole = pq.read_table(path)
    pq.write_table(whole.slice(1), tmp_path / "short.parquet")
    with pytest.raises(UserError, match="41 rows"):
        read_parquet(tmp_path / "short.parquet")
    pq.write_table(whole.drop_columns(["num_val"]), tmp_path / "bare.parquet")
    with pytest.raises(UserError, match="no column num_val"):
        read_parquet(tmp_path / "bare.parquet")
    with pytest.raises(UserError, match="no such file"):
        open_table(tmp_path / "nothing.npz")
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(UserError, match="no readable Parquet"):
        open_table(tmp_path / "text.parquet")


def test_orders_of_seeds_are_one_cluster() -> None:
    assert cluster_name("phantom@2") == cluster_name("phantom") == "phantom"
    assert cluster_name("digits-5") == "digits-5"


def test_the_phantom_table_is_whole_and_foreign_sources_teach_nothing() -> None:
    table = open_table(Path("phantom"))
    plan = load_plan()
    num_seeds, num_compositions, num_targets = table.val.shape
    assert num_seeds == 3
    assert (num_compositions, table.num_sources, num_targets) == (255, 8, 12)
    assert len({tuple(row) for row in table.subsets.tolist()}) == 255
    assert {"-".join(e for e in key if e != "none") for key in table.source_mat} == set(plan.table_sources)
    assert ["-".join(e for e in key if e != "none") for key in table.target_mat] == list(plan.table_targets)
    assert set(table.num_val) == set(table.num_test) == {50}
    accuracy = (table.val.mean(0) + table.test.mean(0)) / 2
    for place, target in enumerate(table.target_mat):
        shares_something = [any(a == b for a, b in zip(s[:3], target, strict=False)) for s in table.source_mat]
        foreign = table.subsets[:, shares_something].sum(1) == 0
        assert foreign.sum() == 31  # all compositions of the five sources that are foreign to each target
        options = make_rows(plan.table_targets[place], seed=0, split="evidence", num=1)["options"][0].as_py()
        assert abs(accuracy[foreign, place].mean() - 1 / len(options)) < 0.05
        assert accuracy[~foreign, place].max() > 1 / len(options) + 0.2


def test_another_seed_comes_first_on_request() -> None:
    table, turned = open_table(Path("phantom")), open_table(Path("phantom@1"))
    np.testing.assert_array_equal(turned.val[0], table.val[1])
    np.testing.assert_array_equal(turned.test[-1], table.test[0])
    assert cluster_name(turned.name) == table.name
    with pytest.raises(UserError, match="no seed '9'"):
        open_table(Path("phantom@9"))
