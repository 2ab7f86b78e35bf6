"""A file of matrices of several backbones: read, refused with its line, and printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from datasets_spec.errors import UserError
from search.bench.known_truth.carry_over_table import load_matrices
from search.cli.verbs import app

HEAD = "backbone,seed,source,target,value\n"


def written(path: Path, rows: str, head: str = HEAD) -> Path:
    path.write_text(head + rows, encoding="utf-8")
    return path


def test_matrices_share_the_order_of_sources_and_targets(tmp_path: Path) -> None:
    rows = "small,0,a,t,1\nsmall,1,a,t,2\nsmall,0,b,t,3\nlarge,7,b,t,4\nlarge,7,a,u,5\n"
    small, large = load_matrices(written(tmp_path / "m.csv", rows))
    assert (small.sources, small.targets) == (large.sources, large.targets) == (("a", "b"), ("t", "u"))
    np.testing.assert_array_equal(small.values[:, :, 0], [[1, 3], [2, np.nan]])
    np.testing.assert_array_equal(large.values[0], [[np.nan, 5], [4, np.nan]])


@pytest.mark.parametrize(
    ("rows", "head", "said"),
    [
        ("small,0,a,t,much\n", HEAD, "m.csv:2: value is 'much'"),
        ("small,0,a,t,1\nsmall,0,a,t,2\n", HEAD, "m.csv:3: small, 0, a, t stands there twice"),
        ("small,0,a,t\n", HEAD.replace(",value", ""), "no column value"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, rows: str, head: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_matrices(written(tmp_path / "m.csv", rows, head))
    with pytest.raises(UserError, match="no such file"):
        load_matrices(tmp_path / "none.csv")


def test_the_command_says_what_carries_over_and_which_best_sources_are_ties(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    worth = {(s, t): 10 * s + rng.normal() for s in range(5) for t in range(4)}
    rows = "".join(
        f"{backbone},{seed},s{s},t{t},{value + 0.1 * rng.normal():.4f}\n"
        for backbone in ("small", "large")
        for seed in range(3)
        for (s, t), value in worth.items()
    )
    result = CliRunner().invoke(app, ["bench", "carry-over", "--table", str(written(tmp_path / "m.csv", rows))])
    assert result.exit_code == 0, result.output
    assert "small: the best source is told from all others on 4 of 4 targets" in result.output
    assert "1.00 (1.00..1.00)" in result.output
