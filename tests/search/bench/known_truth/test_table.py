"""Files that a user brings are read or refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_spec.errors import UserError
from search.bench.known_truth.table import load_table, save_table
from tests.makers.made_table import made_table


def arrays(tmp_path: Path) -> dict[str, Any]:
    path = save_table(made_table(), tmp_path / "made.npz")
    with np.load(path) as content:
        return {name: content[name] for name in content.files}


def test_a_table_survives_its_file(tmp_path: Path) -> None:
    table = made_table("mine", num_sources=4)
    read = load_table(save_table(table, tmp_path / "mine.npz"))
    assert (read.name, read.source_mat, read.target_mat) == (table.name, table.source_mat, table.target_mat)
    np.testing.assert_array_equal(read.subsets, table.subsets)
    np.testing.assert_allclose(read.val, table.val, atol=1e-6)
    assert read.proxy is not None
    assert (list(read.search_seeds), list(read.regret_seeds)) == ([0, 1], [2, 3])


def test_numbers_as_keys_and_a_missing_proxy_are_accepted(tmp_path: Path) -> None:
    content = arrays(tmp_path)
    del content["proxy"]
    content["source_mat"] = np.arange(18).reshape(6, 3)
    np.savez(tmp_path / "plain.npz", **content)
    table = load_table(tmp_path / "plain.npz")
    assert table.proxy is None
    assert table.source_mat[0] == ("0", "1", "2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val": None}, "no array val"),
        ({"test": np.zeros((4, 63, 3))}, r"test has shape \(4, 63, 3\)"),
        ({"subsets": np.full((63, 6), 2)}, "other values than 0 and 1"),
        ({"subsets": np.ones((63, 6))}, "twice"),
        ({"val": np.full((4, 63, 4), 55.0)}, "no accuracies"),
        ({"val": np.full((4, 63, 4), np.nan)}, "no accuracies"),
        ({"num_val": np.zeros(4)}, "below 1"),
        ({"source_mat": np.zeros((6, 2))}, "source_mat has shape"),
        ({"num_test": np.array(["x"] * 4)}, "no numbers"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    content = {name: value for name, value in (arrays(tmp_path) | change).items() if value is not None}
    np.savez(tmp_path / "bad.npz", **content)
    with pytest.raises(UserError, match=message):
        load_table(tmp_path / "bad.npz")


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    content = arrays(tmp_path)
    content["source_mat"] = np.array([[object()] * 3] * 6, dtype=object)
    np.savez(tmp_path / "pickled.npz", **content)
    with pytest.raises(UserError, match="plain arrays"):
        load_table(tmp_path / "pickled.npz")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no table")
    for name in ("text.npz", "missing.npz"):
        with pytest.raises(UserError, match=name):
            load_table(tmp_path / name)
