from __future__ import annotations

import pytest

from search.report.figures.cost import compute_cost_points
from search.report.run_files import RunRecords


def test_only_one_split_is_compared(records: RunRecords) -> None:
    cost = compute_cost_points(records)
    assert cost.split == "search"
    assert (cost.points["n"] == 600).all()
    groups = cost.points["group"].value_counts().to_dict()
    assert groups == {"search trial": 11, "single subset": 8, "comparator": 3, "selected": 1}


def test_the_frontier_only_rises(records: RunRecords) -> None:
    cost = compute_cost_points(records)
    assert cost.frontier["accuracy"].is_monotonic_increasing
    assert cost.frontier["train_s"].is_monotonic_increasing
    assert cost.frontier["accuracy"].iloc[-1] == cost.points["accuracy"].max()
    for dot in cost.points.itertuples():
        reachable = cost.frontier[cost.frontier["train_s"] <= dot.train_s]["accuracy"].max()
        assert reachable >= dot.accuracy


def test_the_baseline_is_the_untrained_backbone(records: RunRecords) -> None:
    rows = records.trials[(records.trials["stage"] == "baseline") & (records.trials["split"] == "search")]
    assert compute_cost_points(records).baseline == pytest.approx(100 * rows["accuracy"].mean())
