"""What a trial costs besides its training: nested against local mode, both in one run. `make bench` prints it."""

from __future__ import annotations

import statistics
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from search.ledger import Ledger
from tests.search.studies.tiny_study import recombine, write_study

pytestmark = [pytest.mark.ray, pytest.mark.benchmark, pytest.mark.timeout(1800)]
NUM_TRIALS = 8
ONLY_SEARCH = ("confirm.enabled=false", "transfer.enabled=false", f"strategy.num_trials={NUM_TRIALS}")


def _search_records(run_dir: Path) -> list[dict[str, Any]]:
    with Ledger.open(run_dir / "ledger", writer=False) as ledger:
        return [r for r in ledger.records() if r["kind"] == "trial" and r["stage"] in ("baseline", "search")]


def _wall_s_a_trial(records: list[dict[str, Any]]) -> float:
    """From the end of the baseline to the end of the last trial, over the number of trials."""
    ends = sorted(datetime.fromisoformat(r["finished_at"]) for r in records)
    return (ends[-1] - ends[0]).total_seconds() / NUM_TRIALS


def test_cost_of_a_trial_that_does_almost_nothing(tmp_path: Path) -> None:
    study = write_study(tmp_path, strategy={"name": "random"}, deterministic=False)
    costs: dict[int, float] = {}
    for num_workers in (1, 0):
        run_dir = tmp_path / f"workers-{num_workers}"
        done = recombine("run", study, *ONLY_SEARCH, f"execution.num_workers={num_workers}", "--run-dir", run_dir,
                         timeout_s=900)  # fmt: skip
        assert done.returncode == 0, done.stderr
        records = _search_records(run_dir)
        costs[num_workers] = _wall_s_a_trial(records)
        startups = [r["startup_s"] for r in records if r["stage"] == "search"]
        sys.stdout.write(
            f"\nnum_workers={num_workers}: {costs[num_workers]:.1f} s wall a trial, two at a time; start-up of a trial "
            f"{statistics.median(startups):.1f} s (median; {min(startups):.1f} to {max(startups):.1f})"
        )
    sys.stdout.write(f"\nnested / local: {costs[1] / costs[0]:.1f}\n")
    assert costs[0] > 0
