"""What a script is told of a study directory: over, or what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from search.cli.verbs import app
from search.ledger.ledger import Ledger
from search.results.study_end import missing_end
from search.study.run_dir import RunDir, RunFile


def record(run_dir: RunDir, *kinds: str) -> None:
    """Open the ledger as a run does, and append records."""
    with Ledger.open(run_dir / RunFile.ledger, writer=True) as ledger:
        for kind in kinds:
            ledger.append({"kind": kind})


def write_page(run_dir: RunDir) -> None:
    (run_dir / RunFile.page).parent.mkdir(exist_ok=True)
    (run_dir / RunFile.page).touch()


def told(run_dir: RunDir) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["status", str(run_dir), "--require-end"])
    return done.exit_code, done.output.strip()


def test_each_step_of_a_study_is_told_by_what_is_missing(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    assert told(run_dir) == (1, f"not ended: {run_dir} holds no study that was begun")
    record(run_dir)
    assert told(run_dir) == (1, f"not ended: the ledger of {run_dir} has no end of the study on record, after 0 trials")
    record(run_dir, "ended")
    assert told(run_dir) == (1, f"not ended: {run_dir / RunFile.page} is missing")
    write_page(run_dir)
    assert told(run_dir) == (0, f"ended; report: {run_dir / RunFile.page}")
    record(run_dir)
    assert told(run_dir) == (1, f"not ended: the study of {run_dir} went on after its end, and that has not ended")
    record(run_dir, "results")
    assert told(run_dir)[0] == 0


@pytest.mark.parametrize("has_root", [False, True])
def test_every_backbone_must_have_ended(tmp_path: Path, has_root: bool) -> None:
    run_dir = RunDir(tmp_path / "run")
    small, large = run_dir.of_backbone("small"), run_dir.of_backbone("large")
    if has_root:  # the study had one backbone before
        record(run_dir, "ended")
        write_page(run_dir)
        assert missing_end(run_dir) is None
    record(small, "ended")
    write_page(small)
    missing = missing_end(run_dir)
    assert missing is not None
    assert missing.startswith(f"{run_dir / RunFile.backbones_markdown} is missing: not every backbone")
    record(large)
    (run_dir / RunFile.backbones_markdown).touch()  # of a run before `large` was added
    assert missing_end(run_dir) == f"the ledger of {large} has no end of the study on record, after 0 trials"
    record(large, "ended")
    write_page(large)
    assert told(run_dir) == (0, f"ended; report: {run_dir / RunFile.backbones_markdown}")
