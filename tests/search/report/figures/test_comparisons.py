from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import pandas as pd
import pytest

from search.report.figures.comparisons import compute_arm_accuracies, compute_comparisons
from search.report.run_files import RunRecords


def _by(rows: pd.DataFrame, *names: str) -> dict[Any, dict[Hashable, Any]]:
    return rows.set_index(list(names)).to_dict("index")


def test_comparisons_are_in_points(records: RunRecords) -> None:
    comparisons = compute_comparisons(records)
    assert comparisons.eval_sets[0] == "mean"
    assert comparisons.splits == ("confirm", "sealed")
    row = _by(comparisons.rows, "comparator", "eval_set", "split")["All data", "mean", "sealed"]
    assert row["difference"] == pytest.approx(1.2)
    assert (row["low"], row["high"]) == (pytest.approx(-2.8), pytest.approx(5.2))
    assert row["detectable"] == "4.1"


def test_the_selected_finalist_is_called_so_on_both_splits(records: RunRecords) -> None:
    rows = compute_arm_accuracies(records).rows
    assert set(rows[rows["arm"] == "Selected"]["split"]) == {"confirm", "sealed"}
    assert set(rows[rows["arm"] == "Finalist 2"]["split"]) == {"confirm"}
    assert not rows.duplicated(["arm", "split", "eval_set"]).any()


def test_an_arm_is_the_mean_of_its_seeds(records: RunRecords) -> None:
    trials = records.trials
    own = trials[(trials["arm"] == "all-data") & (trials["split"] == "sealed") & (trials["eval_set"] == "ct-lung-size")]
    rows = _by(compute_arm_accuracies(records).rows, "arm", "eval_set", "split")
    row = rows["All data", "ct-lung-size", "sealed"]
    assert row["accuracy"] == pytest.approx(100 * own["accuracy"].mean())
    assert (row["n"], row["seeds"]) == (200, 3), "seeds answer the same questions: n does not grow"


def test_the_mean_combines_the_intervals_of_its_targets(records: RunRecords) -> None:
    rows = compute_arm_accuracies(records).rows
    own = rows[(rows["arm"] == "All data") & (rows["split"] == "sealed")].set_index("eval_set")
    parts = own.drop(index="mean")
    mean = _by(own.reset_index(), "eval_set")["mean"]
    expected = math.sqrt(((parts["accuracy"] - parts["low"]) ** 2).sum()) / 3
    assert mean["accuracy"] == pytest.approx(parts["accuracy"].mean())
    assert mean["accuracy"] - mean["low"] == pytest.approx(expected)
    assert mean["n"] == 600


def test_a_control_counts_only_on_its_own_target(records: RunRecords) -> None:
    trials = records.trials
    rows = _by(compute_arm_accuracies(records).rows, "arm", "eval_set", "split")
    own = trials[
        (trials["arm"] == "control:ct-lung-size")
        & (trials["split"] == "confirm")
        & (trials["eval_set"] == "ct-lung-size")
    ]
    assert rows["Matched control", "ct-lung-size", "confirm"]["accuracy"] == pytest.approx(100 * own["accuracy"].mean())
