from __future__ import annotations

from typing import Any

import pytest

from search.evidence.early_stopping import compute_early_stopping


def trial_record(train_id: str, status: str, num_steps: int, score: float) -> dict[str, Any]:
    return {
        "kind": "trial", "stage": "search", "train_id": train_id, "status": status, "num_steps": num_steps,
        "recipe": {"num_steps": 80},
        "evaluations": [{"eval_set": "t", "split": "search", "accuracy": score}],
    }  # fmt: skip


def rung_record(train_id: str, correct: str) -> dict[str, Any]:
    return {"kind": "rung", "train_id": train_id, "step": 20, "correct": {"t": correct}}


def test_findings_say_what_was_saved_and_how_well_rungs_foretold() -> None:
    records = [
        rung_record("a", "1110"), rung_record("b", "1100"), rung_record("c", "1000"), rung_record("d", "0000"),
        trial_record("a", "finished", 80, 0.9), trial_record("b", "finished", 80, 0.7),
        trial_record("c", "finished", 80, 0.8), trial_record("d", "stopped_early", 20, 0.0),
    ]  # fmt: skip
    found = compute_early_stopping(records)
    assert found is not None
    assert (found.num_stopped, found.num_trials) == (1, 4)
    assert found.saved_share == pytest.approx(60 / 320)
    (rung,) = found.agreements
    assert (rung.step, rung.num_trials) == (20, 3)  # the stopped one has no final
    assert rung.kendall_tau == pytest.approx(1 / 3)
    assert compute_early_stopping(records[4:]) is None
