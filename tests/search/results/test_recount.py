"""Every score that a ledger records is counted again from the stored answers, of words and boxes too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from search.results.recount import recount
from search.study.run_dir import RunDir
from trainers.scoring.outcome import Outcome, outcomes_table
from trainers.scoring.summary import count_outcomes
from trainers.trial.folder import write_outcomes

FOLDER = "trials/one"


def answer(number: int, *, kind: str = "closed", is_right: bool = True, **marks: Any) -> Outcome:
    return Outcome(
        sample_id=f"q{number}", eval_set="target", split="search", predicted=0, correct=is_right, log_probs=[],
        gold_log_prob=None, generated=None, generation_correct=is_right, invalid=False, answer_kind=kind, **marks,
    )  # fmt: skip


ANSWERS = [
    answer(0),
    answer(1, is_right=False),
    answer(2, kind="open", token_f1=1 / 3, rouge_l=0.1),
    answer(3, kind="box", iou=0.7, intersection=0.07, union=0.1),
]


def record(answers: list[Outcome], score_id: str = "final", **change: Any) -> dict[str, Any]:
    evaluation = {"eval_set": "target", "split": "search", "score_id": score_id, **count_outcomes(answers)}
    return {"kind": "trial", "trial_dir": FOLDER, "evaluations": [evaluation | change]}


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    (tmp_path / FOLDER).mkdir(parents=True)
    write_outcomes(tmp_path / FOLDER, "search", outcomes_table(ANSWERS))
    return RunDir(tmp_path)


def test_what_was_counted_is_counted_again(run_dir: RunDir) -> None:
    assert list(recount(run_dir, [record(ANSWERS)])) == []
    assert list(recount(run_dir, [record(ANSWERS) | {"kind": "proxy"}])) == []
    stopped = record(ANSWERS[:2], score_id="at the rung")
    assert list(recount(run_dir, [stopped, record(ANSWERS)])) == []  # it went on, and its answers were replaced


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 5), ("correct", 2), ("accuracy", 0.76), ("generation_accuracy", None), ("invalid", 1), ("free_answers", {})],
)
def test_any_other_figure_is_found(run_dir: RunDir, name: str, value: Any) -> None:
    ((folder, what),) = recount(run_dir, [record(ANSWERS, **{name: value})])
    assert folder == FOLDER
    assert f"the ledger records for target (search): {name} " in what


def test_a_mark_of_words_is_counted_too(run_dir: RunDir) -> None:
    changed = [*ANSWERS[:2], answer(2, kind="open", token_f1=0.34, rouge_l=0.1), ANSWERS[3]]
    ((_, what),) = recount(run_dir, [record(changed)])
    assert "free_answers open token_f1 is 0.34, and computed 0.333" in what


def test_a_file_that_holds_no_answers_is_named(run_dir: RunDir) -> None:
    path = run_dir / FOLDER / "outcomes-search.parquet"
    pq.write_table(pa.table({"eval_set": ["target"]}), path)
    assert list(recount(run_dir, [record(ANSWERS)])) == [(FOLDER, "its outcomes cannot be read: TypeError")]


def test_folders_without_answers_are_passed_over(run_dir: RunDir) -> None:
    assert list(recount(run_dir, [record(ANSWERS) | {"trial_dir": "trials/none"}])) == []
