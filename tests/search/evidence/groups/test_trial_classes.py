"""Right answers of each trial by class, from stored answers."""

from __future__ import annotations

import pandas as pd

from search.evidence.groups.class_results import ClosedQuestion
from search.evidence.groups.trial_classes import RARE, compute_trial_classes
from search.evidence.inputs.questions import Questions
from search.evidence.outcomes import Outcomes

CLOSED = {
    ("x", "search"): {f"q{k}": ClosedQuestion(options=("Yes", "no", "#0"), answer_index=k // 6) for k in range(14)}
}
TRIAL = {"kind": "trial", "status": "finished", "train_id": "t", "trial_dir": "folder", "stage": "search"}


def answers(_folder: str) -> pd.DataFrame:
    rows = [{"sample_id": f"q{k}", "eval_set": "x", "split": "search", "correct": k % 2 == 0} for k in range(14)]
    return pd.DataFrame([*rows, {"sample_id": "q0", "eval_set": "open", "split": "search", "correct": True}])


def test_right_answers_are_counted_by_class_and_rare_ones_are_not_spelt_out() -> None:
    questions = Questions(groups={}, closed=CLOSED, strata={})
    found = compute_trial_classes([TRIAL, {**TRIAL, "train_id": "u", "status": "oom"}], Outcomes(answers), questions)
    assert found.to_dict("records") == [
        {"train_id": "t", "eval_set": "x", "split": "search", "label": RARE, "correct": 1, "n": 2},
        {"train_id": "t", "eval_set": "x", "split": "search", "label": "Yes", "correct": 3, "n": 6},
        {"train_id": "t", "eval_set": "x", "split": "search", "label": "no", "correct": 3, "n": 6},
    ]


def test_answers_about_few_patients_are_not_spelt_out() -> None:
    groups = {f"q{k}": "one" for k in range(6)}  # all that are answered "Yes"
    found = compute_trial_classes([TRIAL], Outcomes(answers), Questions(groups=groups, closed=CLOSED, strata={}))
    assert list(found["label"]) == [RARE, "no"]
    assert list(found["n"]) == [8, 6]


def test_a_study_without_trials_has_no_rows() -> None:
    assert compute_trial_classes([], Outcomes(answers), Questions(groups={}, closed={}, strata={})).empty
