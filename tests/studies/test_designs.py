"""Designs through the command line, small and real: trained, judged, shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search.designs.files import read_design
from search.study.run_dir import RunDir
from search.study.sections.design import DESIGN_KINDS, DesignKind
from tests.studies.tiny_study import SOURCES, TARGET, recombine, trial_records, write_study

pytestmark = pytest.mark.ray
SPACE = {"composition": {"sources": [*SOURCES, TARGET], "num_samples": [8], "budget": 16}}
# One trial at a time: a process for a second costs more than it saves.
EXECUTION = {"num_workers": 0, "max_concurrent": 1}
SMALL = {"space": SPACE, "objective": "cg", "strategy": {"num_trials": 1}, "execution": EXECUTION}


# Phases whose trials no design looks at; the slow tier has them beside every design.
WITHOUT = {"transfer": {"enabled": False}, "confirm": {"enabled": False}}


def run_design(folder: Path, kind: DesignKind, **changes: object) -> tuple[Path, str]:
    design = {"kind": kind, "seeds": [0, 1], "shots": [4], "sizes": [8]}
    study = write_study(folder, **SMALL, **changes, design=design)
    done = recombine("run", study, "--run-dir", folder / kind)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / kind, done.stdout


def test_a_design_is_run_judged_and_shown(tmp_path: Path) -> None:
    run_dir, output = run_design(tmp_path, "controlled", **WITHOUT)
    assert "fixed_task" in output
    assert "no difference detected" in output  # two steps teach nothing
    table = read_design(RunDir(run_dir))
    assert table is not None
    assert {contrast.second for contrast in table.contrasts} == {"baseline", "control"}
    assert all(contrast.is_held_out for contrast in table.contrasts)
    arms = {record["arm"].rpartition(":")[2] for record in trial_records(run_dir) if record["stage"] == "design"}
    assert arms == {"related", "control"}
    page = (run_dir / "report" / "index.html").read_text(encoding="utf-8")
    assert "Design controlled: 0 of 1 claims better, 0 worse." in page
    planned = recombine("plan", tmp_path / "study.yaml", "--run-dir", run_dir, "--detect", "5")
    assert "To see 5 points" in planned.stdout
    assert json.loads((run_dir / "report" / "design.json").read_text())["kind"] == "controlled"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in DESIGN_KINDS if kind not in ("controlled", "three_sources")])
def test_every_design_runs_to_its_table(tmp_path: Path, kind: DesignKind) -> None:
    run_dir, _ = run_design(tmp_path, kind)
    table = read_design(RunDir(run_dir))
    assert table is not None
    assert table.contrasts
    assert not table.missing
    exposed = {contrast.is_held_out for contrast in table.contrasts}
    # The one target is a source here: `observation` always trains on it, the two about amounts only in some rows.
    expected = {"observation": {False}, "few_shot": {False, True}, "data_efficiency": {False, True}}
    assert exposed == expected.get(kind, {True})
