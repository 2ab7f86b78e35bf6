"""What `recombine status` says of a search: whether it has ended, and why."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from search.cli.verbs import app
from search.ledger.ledger import Ledger
from search.study.run_dir import RunDir, claim_run_dir
from tests.makers.study_fixture import open_study


def test_a_search_that_a_larger_budget_opened_again_is_not_said_to_have_ended(tmp_path: Path) -> None:
    spec = open_study(tmp_path, {"budget_wall_h": 2.0}).spec
    claim_run_dir(RunDir(tmp_path / "run"), spec, {})
    stop = {"kind": "search_stopped", "proposal_index": 0, "why": "budget_wall_h 1 leaves no time"}
    with Ledger.open(tmp_path / "run" / "ledger", writer=True) as ledger:
        ledger.append({**stop, "limits": {**spec.search_limits, "budget_wall_h": 1.0}})
        assert "has ended" not in _status(tmp_path / "run")
        ledger.append({**stop, "why": "budget_wall_h 2 leaves no time", "limits": spec.search_limits})
        assert "the search has ended, because budget_wall_h 2" in _status(tmp_path / "run")


def _status(run_dir: Path) -> str:
    return " ".join(CliRunner().invoke(app, ["status", str(run_dir)]).output.split())
