"""Class figures against hand-made answers and a library's definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.evidence.groups.class_results import (
    ClosedQuestion,
    auroc,
    compute_class_results,
    count_rare_classes,
)


def frame(rows: list[tuple[str, list[float]]]) -> pd.DataFrame:
    log_probs = [[float(np.log(p)) for p in shares] for _, shares in rows]
    return pd.DataFrame({"sample_id": [name for name, _ in rows], "log_probs": log_probs})


def results(rows: list[tuple[str, list[float]]], questions: dict[str, ClosedQuestion]) -> dict[str, object]:
    found = compute_class_results([frame(rows)], questions, arm="a", eval_set="e", split="sealed")
    return {result.label: result for result in found}


def test_sensitivity_and_specificity_by_hand() -> None:
    questions = {f"q{k}": ClosedQuestion(options=("yes", "no"), answer_index=int(k >= 10)) for k in range(20)}
    # 8 of 10 "yes" are found; 3 of 10 "no" are called "yes"
    rows = [(f"q{k}", [0.9, 0.1] if k < 8 else [0.2, 0.8]) for k in range(10)]
    rows += [(f"q{k}", [0.7, 0.3] if k < 13 else [0.1, 0.9]) for k in range(10, 20)]
    found = results(rows, questions)
    yes = found["yes"]
    assert (yes.sensitivity, yes.specificity) == (0.8, pytest.approx(0.7))  # type: ignore[attr-defined]
    assert (yes.num_positive, yes.num_negative) == (10, 10)  # type: ignore[attr-defined]
    no = found["no"]
    assert (no.sensitivity, no.specificity) == (pytest.approx(0.7), 0.8)  # type: ignore[attr-defined]
    assert yes.auroc == pytest.approx(no.auroc)  # type: ignore[attr-defined]


def test_option_order_and_equal_options_do_not_matter() -> None:
    questions = {
        f"q{k}": ClosedQuestion(options=("No", "yes", "no"), answer_index=1 if k % 2 else 0) for k in range(20)
    }
    rows = [(f"q{k}", [0.3, 0.4, 0.3]) for k in range(20)]  # "no" has 0.6 over both of its letters
    found = results(rows, questions)
    assert set(found) == {"yes", "No"}
    assert found["No"].sensitivity == 1.0  # type: ignore[attr-defined]
    assert found["yes"].sensitivity == 0.0  # type: ignore[attr-defined]


def test_rare_classes_and_unscored_questions_are_left_out() -> None:
    questions = {f"q{k}": ClosedQuestion(options=("a", "b"), answer_index=int(k == 0)) for k in range(20)}
    assert results([(f"q{k}", [0.5, 0.5]) for k in range(20)], questions) == {}
    broken = frame([("q0", [0.5, 0.5])])
    broken["log_probs"] = [[float("nan"), 0.0]]
    assert compute_class_results([broken], questions, arm="a", eval_set="e", split="s") == []


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=4, max_size=60))
def test_auroc_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[float, bool]]) -> None:
    score = np.array([value for value, _ in pairs])
    is_class = np.array([flag for _, flag in pairs])
    if not 0 < is_class.sum() < len(pairs):
        return
    wins = [(a > b) + 0.5 * (a == b) for a in score[is_class] for b in score[~is_class]]
    assert auroc(score, is_class) == pytest.approx(np.mean(wins))


def test_questions_about_one_patient_make_a_class_less_certain() -> None:
    """Ten patients with ten equal answers each are ten, not a hundred."""
    questions = {f"q{k}": ClosedQuestion(options=("yes", "no"), answer_index=int(k >= 100)) for k in range(200)}
    rows = [(f"q{k}", [0.9, 0.1] if k < 70 else [0.2, 0.8]) for k in range(200)]
    alone = results(rows, questions)["yes"]
    groups = {f"q{k}": str(k // 10) for k in range(200)}
    (clustered, *_) = compute_class_results([frame(rows)], questions, arm="a", eval_set="e", split="s", groups=groups)
    assert clustered.num_groups == 10, "patients of the class, not of the others"
    assert alone.num_groups is None  # type: ignore[attr-defined]
    width = clustered.sensitivity_high - clustered.sensitivity_low
    assert width > 1.5 * (alone.sensitivity_high - alone.sensitivity_low)  # type: ignore[attr-defined]


def test_rare_classes_are_counted() -> None:
    questions = {f"q{k}": ClosedQuestion(options=("a", "b", "c"), answer_index=(k > 10) + (k > 12)) for k in range(16)}
    assert count_rare_classes(questions, {}) == (2, 5)


def test_a_class_of_few_patients_is_rare_however_many_questions_it_has() -> None:
    questions = {f"q{k}": ClosedQuestion(options=("a", "b"), answer_index=int(k >= 20)) for k in range(40)}
    rows = [(f"q{k}", [0.6, 0.4]) for k in range(40)]
    for patients, num_rare in ((4, 1), (5, 0)):  # of "b"; each question about "a" counts alone
        groups = {f"q{k}": str(k % patients) for k in range(20, 40)}
        assert count_rare_classes(questions, groups) == (num_rare, 20 * num_rare)
        found = compute_class_results([frame(rows)], questions, arm="a", eval_set="e", split="s", groups=groups)
        assert len(found) == (0 if num_rare else 2)
