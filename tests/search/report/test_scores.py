from __future__ import annotations

import pandas as pd
import pytest

from search.report.run_files import RunRecords
from search.report.scores import compute_final_rows, compute_trial_scores


def _rows(*rows: tuple[str, str, float, str, float | None]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["train_id", "eval_set", "accuracy", "exposure", "rung"])
    return frame.assign(arm="x", split="search", status="finished", gain=0.1, cg_gain=None, n=100)


def test_the_mean_is_over_all_targets(records: RunRecords) -> None:
    scores = compute_trial_scores(records.trials, records.targets, "sealed")
    train_id = scores.index[-1]
    own = records.trials[(records.trials["train_id"] == train_id) & (records.trials["split"] == "sealed")]
    assert scores.loc[train_id, "score"] == pytest.approx(own["correct"].sum() / own["n"].sum())


def test_a_trial_that_lacks_a_target_has_no_mean() -> None:
    trials = _rows(("t", "a", 0.5, "held_out", None))
    assert compute_trial_scores(trials, ["a", "b"], "search").empty


def test_a_trial_that_trained_on_the_target_has_no_mean() -> None:
    trials = _rows(("t", "a", 0.5, "held_out", None), ("t", "b", 0.9, "in_domain", None))
    assert compute_trial_scores(trials, ["a", "b"], "search").empty


def test_earlier_rungs_do_not_count() -> None:
    trials = _rows(
        ("t", "a", 0.5, "held_out", None), ("t", "a", 0.2, "held_out", 40.0), ("u", "a", 0.3, "held_out", 40.0)
    )
    final = compute_final_rows(trials)
    assert final["accuracy"].tolist() == [0.5, 0.3]


def test_a_trial_recorded_for_two_arms_counts_once() -> None:
    trials = _rows(("t", "a", 0.5, "held_out", None), ("t", "a", 0.5, "held_out", None))
    trials["arm"] = ["finalist-1", "selection"]
    assert len(compute_final_rows(trials)) == 2
    assert compute_trial_scores(trials, ["a"], "search").loc["t", "n"] == 100
