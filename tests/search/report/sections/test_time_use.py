"""The report's section on time: what was recorded, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from search.report.run_files import RunRecords
from search.report.sections.time_use import compute_time_use
from search.study.run_dir import RunDir


def records(**run: Any) -> RunRecords:
    return RunRecords(
        run_dir=RunDir(Path("run")), run=run, study={}, selection=None, trials=pd.DataFrame(), transfer=pd.DataFrame(),
        missing=(),
    )  # fmt: skip


def test_a_study_without_records_of_time_has_no_tables() -> None:
    use = compute_time_use(records())
    assert (use.phases, use.slots, use.early_stopping) == ((), (), ())


def test_shares_are_of_the_time_at_work() -> None:
    use = compute_time_use(
        records(
            phase_seconds={"queue": 100.0, "train": 75.0, "score": 25.0, "startup": 0.0},
            slots=[{"slot": "slot-0", "num_trials": 3, "busy_s": 100.0, "busy_share": 0.99}],
        )
    )
    assert use.phases == (
        ("training (forward and backward)", "1 min", "75%"),
        ("scoring", "25.0 s", "25%"),
        ("waiting for a slot", "2 min", ""),
    )
    assert use.slots == (("slot-0", "3", "2 min", "99%"),)


def test_early_stopping_says_what_it_saved_and_what_nobody_knows() -> None:
    found = {
        "num_stopped": 5,
        "num_trials": 20,
        "saved_share": 0.18,
        "agreements": [
            {"step": 20, "num_trials": 15, "kendall_tau": 0.61},
            {"step": 40, "num_trials": 2, "kendall_tau": None},
        ],
    }
    saved, early, late = compute_time_use(records(early_stopping=found)).early_stopping
    assert "5 of 20 trials" in saved
    assert "18%" in saved
    assert "tau 0.61" in early
    assert "nobody knows" in early
    assert "too few trials" in late
