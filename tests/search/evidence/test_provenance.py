from __future__ import annotations

from pathlib import Path
from typing import Any

from search.evidence.inputs.study_facts import gather_facts
from search.evidence.provenance import run_info
from search.study.run_dir import RunDir
from tests.makers.study_fixture import open_study, write_store


def test_run_info_says_where_figures_come_from(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    records: tuple[dict[str, Any], ...] = (
        {
            "kind": "writer",
            "opened_at": "then",
            "arguments": ["run", "study.yaml", "a.token=1", "--password", "2", "s3://me:you@b/c"],
        },
        {"kind": "decision", "text": "no control"},
        {"kind": "writer", "opened_at": "later"},
        {"kind": "sealed_opened"},
    )
    info = run_info(gather_facts(study, write_store(study), {}, RunDir(tmp_path)), records, (4, "of the ledger"))
    assert (info["started_at"], info["num_runs"], info["finished_at"]) == ("then", 2, None)
    assert info["commands"] == ["recombine run study.yaml 'a.token=(left out)' --password '(left out)' s3://b/c"]
    assert info["ledger"] == {"records": 4, "sha256": "of the ledger"}
    assert (info["decisions"], info["sealed_openings"]) == (["no control"], 1)
    assert set(info["subsets"]) == {"ct-lung", "ct-brain", "mr-brain", "us-heart", "xr-hand", "mr-lung"}
    assert info["subsets"]["mr-lung"]["train_rows"] == 12


def test_a_study_that_went_on_after_its_end_finished_with_its_last_end(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    facts = gather_facts(study, write_store(study), {}, RunDir(tmp_path))
    records: tuple[dict[str, Any], ...] = (
        {"kind": "writer", "opened_at": "2026-11-28T08:00:00+00:00"},
        {"kind": "ended", "ended_at": "2026-11-28T09:00:00+00:00", "wall_s": 3600.0},
        {"kind": "results"},
        {"kind": "writer", "opened_at": "2026-11-29T08:00:00+00:00"},
        {"kind": "ended", "ended_at": "2026-11-29T08:10:00+00:00", "wall_s": 600.0},
    )
    info = run_info(facts, records, (5, "of the ledger"))
    assert (info["finished_at"], info["wall_s"]) == ("2026-11-29T08:10:00+00:00", 4200.0)
