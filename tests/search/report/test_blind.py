from __future__ import annotations

import json
from pathlib import Path

from search.report.blind import compute_blind
from search.report.load import load_run
from tests.search.report.fixture_run import write_run


def test_blind_rules_stand_beside_every_evaluation_set(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    path = run_dir / "run.json"
    info = json.loads(path.read_text())
    figures = {"num_closed": 40, "num_open": 2, "chance": 0.5, "constant_letter": 0.55, "longest_option": None}
    path.write_text(json.dumps(info | {"blind": {"a": figures}}))
    (row,) = compute_blind(load_run(run_dir))
    assert (row.name, row.num_closed, row.num_open) == ("a", "40", "2")
    assert "50" in row.chance
    assert "55" in row.constant_letter
    assert row.longest_option == row.shortest_option == "–"
