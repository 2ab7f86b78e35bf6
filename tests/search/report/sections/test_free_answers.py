from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from search.report.run_files import load_run
from search.report.sections.free_answers import compute_free_answers
from search.report.write import write_report
from search.study.run_dir import RunDir
from tests.search.report.fixture_run import write_run

OPEN = {"n": 20, "correct": 5, "invalid": 1, "token_f1": 0.5, "rouge_l": 0.4}
BOX = {"n": 10, "correct": 6, "invalid": 2, "iou": 0.55, "ciou": 0.6}


def run_with(tmp_path: Path, free_answers: dict[str, dict[str, float]]) -> Path:
    """A run whose first target was answered in words and boxes."""
    run_dir = write_run(tmp_path / "run")
    path = run_dir / "report" / "trials.parquet"
    frame = pd.read_parquet(path)
    target = json.loads((run_dir / "run.json").read_text())["targets"][0]
    frame["score"] = frame["accuracy"].where(frame["eval_set"] != target, 0.25)
    frame["free_answers"] = [json.dumps(free_answers if name == target else {}) for name in frame["eval_set"]]
    frame.to_parquet(path)
    return run_dir


def test_each_kind_has_a_table_with_its_own_figures(tmp_path: Path) -> None:
    run_dir = run_with(tmp_path, {"open": OPEN, "box": BOX})
    words, boxes = compute_free_answers(load_run(RunDir(run_dir)))
    assert words.figures == ("exact", "token F1", "ROUGE-L")
    assert boxes.figures == ("IoU ≥ 0.5", "mean IoU", "cIoU")
    (chosen, *_) = [row for row in words.rows if row.arm == "Selected"]
    assert chosen.figures == ("25.0\u00a0%", "50.0\u00a0%", "40.0\u00a0%")
    assert (chosen.num_questions, chosen.invalid) == ("20", "5.0\u00a0%")
    assert {row.arm for row in boxes.rows} >= {"Untrained", "Matched control", "Selected"}
    page = write_report(RunDir(run_dir)).read_text()
    assert 'id="free-answers-open"' in page
    assert 'id="free-answers-box"' in page


def test_charts_show_what_the_study_goes_by(tmp_path: Path) -> None:
    trials = load_run(RunDir(run_with(tmp_path, {"box": BOX}))).trials
    told = trials[trials["free_answers"] != "{}"]
    assert set(told["accuracy"]) == {0.25}


def test_a_study_of_letters_has_no_such_table(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    assert compute_free_answers(load_run(RunDir(run_dir))) == ()
    assert "free-answers" not in write_report(RunDir(run_dir)).read_text()


def test_seeds_are_averaged(tmp_path: Path) -> None:
    run_dir = run_with(tmp_path, {"open": OPEN})
    path = run_dir / "report" / "trials.parquet"
    frame = pd.read_parquet(path)
    chosen = frame[(frame["free_answers"] != "{}") & (frame["split"] == "confirm") & (frame["arm"] == "finalist-1")]
    if len(chosen) < 2:
        pytest.fail("the run of the fixture has one seed only")
    frame.loc[chosen.index[0], "free_answers"] = json.dumps({"open": OPEN | {"token_f1": 1.0}})
    frame.to_parquet(path)
    (words,) = compute_free_answers(load_run(RunDir(run_dir)))
    (row,) = [row for row in words.rows if row.arm == "Selected" and row.split == "confirm"]
    assert row.figures[1] == f"{100 * (1.0 + 0.5 * (len(chosen) - 1)) / len(chosen):.1f}\u00a0%"
