"""What the tables of a study are asked for, by its file."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datasets_spec.store.store import open_store
from search.evidence.blind import no_image_shares
from search.evidence.inputs.recorded_study import read_recorded, record_study
from search.evidence.selection import SelectionRules
from search.results import compute_results
from search.study.run_dir import RunDir
from search.study.spec import StudySpec
from search.study.study import Study
from tests.makers.study_fixture import changed

WANTED = {
    "abilities": ["mr-brain-time"],
    "objective": "multi_image",
    "retained": ["us-heart"],
    "constraints": {"no_image_floor": True, "most_lost": 5.0},
}


class AskedError(Exception):
    """Ends the computation where it has been asked."""


def test_abilities_are_kept_by_constraints_only_and_floors_of_sealed_are_its_own(
    finished: tuple[Study, RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, run_dir = replace(finished[0], spec=StudySpec.model_validate(changed(WANTED))), RunDir(tmp_path / "run")
    shutil.copytree(finished[1].root, run_dir.root)
    record_study(study, open_store(study.store_dir), run_dir, run_dir.read_records())
    asked: list[SelectionRules] = []

    def build_selection(records: Any, outcomes: Any, rules: SelectionRules) -> None:
        asked.append(rules)
        raise AskedError

    monkeypatch.setattr(compute_results, "build_selection", build_selection)
    monkeypatch.setattr(compute_results, "best_finalist", lambda evidence, arms: "finalist-1")  # of another objective
    recorded = read_recorded(run_dir)
    with pytest.raises(AskedError):
        compute_results.compute_results(recorded, run_dir)
    (rules,) = asked
    assert rules.retained == ("us-heart",)
    assert rules.comparators == ("baseline", *study.spec.confirm.comparators)
    assert rules.kept_sets == ("mr-brain-time", "us-heart")
    assert rules.no_image["sealed"] == no_image_shares(recorded.facts.blind_sealed)
    assert set(rules.no_image["sealed"]) == {"mr-lung", "mr-brain-time"}
