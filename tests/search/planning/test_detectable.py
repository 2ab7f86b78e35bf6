"""What a planned study can see counts all the seeds that it will train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.planning.detectable import DetectableDifferences, compute_detectable, detectable_lines
from search.planning.facts import read_facts
from search.study.run_dir import RunDir
from tests.makers.study_fixture import open_study, write_store


def seen_by(root: Path, changes: dict[str, Any]) -> DetectableDifferences:
    study = open_study(root, changes)
    write_store(study)
    return compute_detectable(study, read_facts(study, RunDir(root / "run")))


def test_further_seeds_of_the_chosen_one_sharpen_what_is_seen(tmp_path: Path) -> None:
    few = seen_by(tmp_path / "few", {"confirm.seeds": [101, 102]})
    more = seen_by(tmp_path / "more", {"confirm.seeds": [101, 102], "confirm.further_seeds": [103, 104]})
    every = seen_by(tmp_path / "every", {"confirm.seeds": [101, 102, 103, 104]})
    for split in ("confirm", "sealed"):
        differences = [found.detections[split].difference for found in (every, more, few)]
        assert differences == sorted(set(differences))
    assert "2 seeds an arm and 2 more of the chosen one," in detectable_lines(more)[0]
    assert "more of the chosen one" not in detectable_lines(few)[0]
