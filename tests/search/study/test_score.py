"""The number a target is searched by, in the ledger, in outcomes and in the tables."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from search.evidence.blind import constant_marks
from search.evidence.outcomes import Outcomes
from search.evidence.trials_table import trials_frame
from search.study.score import ScoreSection, score_of, with_marks

EVALUATION: dict[str, Any] = {
    "eval_set": "t", "split": "search", "exposure": "held_out", "n": 10, "correct": 5, "accuracy": 0.5,
    "free_answers": {
        "open": {"n": 4, "correct": 1, "invalid": 0, "token_f1": 0.5, "rouge_l": 0.25},
        "box": {"n": 2, "correct": 2, "invalid": 0, "iou": 0.75, "ciou": 0.7},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        ({}, (2 + 4 * 0.5 + 2 * 0.75) / 10),
        ({"open": "rouge_l"}, (2 + 4 * 0.25 + 2 * 0.75) / 10),
        ({"open": "exact", "box": "accuracy"}, 0.5),
        ({"box": "accuracy"}, (2 + 4 * 0.5 + 2) / 10),
    ],
)
def test_marks_of_letters_words_and_boxes_add_up(chosen: dict[str, Any], wanted: float) -> None:
    assert score_of(EVALUATION, ScoreSection(**chosen)) == pytest.approx(wanted)


def test_of_letters_alone_the_score_is_the_accuracy_to_the_bit() -> None:
    assert score_of({"accuracy": 1 / 3, "n": 3, "correct": 1}) == 1 / 3
    assert score_of({"accuracy": 1 / 3, "n": 3, "correct": 1, "free_answers": {}}) == 1 / 3


def frame() -> pd.DataFrame:
    rows = [
        ("a", "closed", True, None, None), ("b", "open", False, 0.5, None), ("c", "box", True, None, 0.75),
    ]  # fmt: skip
    names = ["sample_id", "answer_kind", "correct", "token_f1", "iou"]
    return pd.DataFrame(rows, columns=names).assign(eval_set="t", split="search")


def test_a_question_counts_for_its_mark_and_what_the_ledger_counts_stays_right_or_wrong() -> None:
    assert with_marks(frame(), ScoreSection())["mark"].tolist() == [1.0, 0.5, 0.75]
    assert with_marks(frame(), ScoreSection(open="exact", box="accuracy"))["mark"].tolist() == [1.0, 0.0, 1.0]
    old = frame().drop(columns=["answer_kind", "token_f1", "iou"])
    assert with_marks(old, ScoreSection())["mark"].tolist() == [1.0, 0.0, 1.0]
    record = {
        "kind": "trial", "status": "finished", "trial_dir": "d", "seed": 0, "composition": {"s": 1},
        "evaluations": [{"eval_set": "t", "split": "search", "n": 3, "correct": 2}],
    }  # fmt: skip
    arm = Outcomes(lambda _: with_marks(frame(), ScoreSection())).of_arm([record], "t", "search")
    assert arm is not None
    assert arm.right.tolist() == [[1.0, 0.5, 0.75]]


def test_the_table_has_accuracy_and_score_and_gains_are_of_the_score() -> None:
    def trial(stage: str, iou: float) -> dict[str, Any]:
        box = {"n": 10, "correct": 5, "invalid": 0, "iou": iou, "ciou": iou}
        return {
            "kind": "trial", "train_id": stage, "stage": stage, "arm": stage, "status": "finished", "seed": 0,
            "composition": {}, "recipe": {}, "evaluations": [{**EVALUATION, "free_answers": {"box": box}}],
        }  # fmt: skip

    table = trials_frame([trial("baseline", 0.25), trial("search", 0.5)], {})
    (found,) = table[table["stage"] == "search"].to_dict("records")
    assert found["accuracy"] == 0.5
    assert (found["score"], found["gain"]) == pytest.approx((0.5, 0.25))
    assert found["ci_low"] < 0.5 < found["ci_high"]


def test_one_answer_to_all_is_the_best_of_those_learned() -> None:
    def row(kind: str, answer: str) -> dict[str, Any]:
        return {"answer_kind": kind, "answer": answer}

    learned = [row("open", "no"), row("open", "no"), row("open", "large left"), row("box", "[0, 0, 500, 1000]")]
    asked = [row("open", "no"), row("open", "large"), row("box", "[0, 0, 1000, 1000]"), row("closed", "A")]
    assert constant_marks(learned, asked, ScoreSection()) == pytest.approx({"open": 0.5, "box": 0.5})
    assert constant_marks([], [row("closed", "A")], ScoreSection()) == {}
