"""A study that has ended is not submitted again."""

from __future__ import annotations

from pathlib import Path

from search.cli.jobs import has_ended
from search.ledger.ledger import Ledger
from search.study.run_dir import RunDir, RunFile, claim_run_dir
from search.study.source_rows import with_rows
from tests.makers.study_fixture import open_study


def test_a_study_with_a_small_source_is_known_to_have_ended(tmp_path: Path) -> None:
    written, run_dir = open_study(tmp_path), RunDir(tmp_path / "run")
    study = with_rows(written, lambda name, split: 7 if name == "ct-lung" else 99)
    assert study.spec != written.spec
    claim_run_dir(run_dir, study.spec, {"store": "s"})
    (run_dir / RunFile.page).parent.mkdir()
    (run_dir / RunFile.page).touch()
    with Ledger.open(run_dir / RunFile.ledger, writer=True) as ledger:
        assert not has_ended(run_dir, written.spec)
        ledger.append({"kind": "ended"})
    assert has_ended(run_dir, written.spec)
    assert not has_ended(run_dir, open_study(tmp_path / "other", {"seed": 7}).spec)
