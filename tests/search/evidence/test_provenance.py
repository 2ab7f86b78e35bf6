from __future__ import annotations

from pathlib import Path
from typing import Any

from search.evidence.provenance import run_info
from tests.makers.study_fixture import open_study, write_store


def test_run_info_says_where_figures_come_from(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    records: tuple[dict[str, Any], ...] = (
        {"kind": "writer", "opened_at": "then"},
        {"kind": "decision", "text": "no control"},
        {"kind": "writer", "opened_at": "later"},
        {"kind": "sealed_opened"},
    )
    info = run_info(study, write_store(study).manifest, records)
    assert (info["started_at"], info["num_runs"], info["finished_at"]) == ("then", 2, None)
    assert (info["decisions"], info["sealed_openings"]) == (["no control"], 1)
    assert set(info["subsets"]) == {"ct-lung", "ct-brain", "mr-brain", "us-heart", "xr-hand", "mr-lung"}
    assert info["subsets"]["mr-lung"]["train_rows"] == 12
