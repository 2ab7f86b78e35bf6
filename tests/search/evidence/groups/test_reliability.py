"""Bins of probabilities against hand-made answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.evidence.groups.class_results import ClosedQuestion
from search.evidence.groups.reliability import (
    ConfidentAnswer,
    confident_answers,
    expected_calibration_error,
    reliability_bins,
)


def answers_of(rows: list[tuple[str, list[float]]], questions: dict[str, ClosedQuestion]) -> list[ConfidentAnswer]:
    log_probs = [[float(np.log(p)) for p in shares] for _, shares in rows]
    return confident_answers([pd.DataFrame({"sample_id": [n for n, _ in rows], "log_probs": log_probs})], questions)


QUESTIONS = {f"q{k}": ClosedQuestion(options=("a", "b"), answer_index=int(k >= 80)) for k in range(100)}


def test_calibration_error_is_zero_when_shares_are_true_and_large_when_they_are_not() -> None:
    honest = expected_calibration_error(answers_of([(f"q{k}", [0.8, 0.2]) for k in range(100)], QUESTIONS))
    sure = expected_calibration_error(answers_of([(f"q{k}", [0.999, 0.001]) for k in range(100)], QUESTIONS))
    assert honest == pytest.approx(0.0, abs=1e-9)
    assert sure == pytest.approx(0.199, abs=1e-6)
    assert expected_calibration_error([]) is None


def test_a_bin_holds_what_was_said_and_how_often_it_was_right() -> None:
    rows = [(f"q{k}", [0.85, 0.15] if k % 2 else [0.55, 0.45]) for k in range(100)]
    low, high = reliability_bins(answers_of(rows, QUESTIONS), {}, arm="selected", eval_set="x")
    assert (low.low, low.high, high.low) == (0.5, 0.6, 0.8)
    assert (low.n, high.n) == (50, 50)
    assert high.confidence == pytest.approx(0.85)
    assert high.accuracy == pytest.approx(0.8)
    assert high.ci_low < 0.8 < high.ci_high
    assert high.num_groups is None


def test_seeds_that_answer_the_same_questions_are_no_further_questions() -> None:
    once = answers_of([(f"q{k}", [0.85, 0.15]) for k in range(100)], QUESTIONS)
    (first,) = reliability_bins(once, {}, arm="a", eval_set="x")
    (thrice,) = reliability_bins(once * 3, {}, arm="a", eval_set="x")
    assert (thrice.n, thrice.num_questions) == (300, 100)
    assert thrice.ci_high - thrice.ci_low == pytest.approx(first.ci_high - first.ci_low, abs=1e-3)
    patients = {f"q{k}": str(k // 10) for k in range(100)}
    (grouped,) = reliability_bins(once, patients, arm="a", eval_set="x")
    assert grouped.num_groups == 10
    assert grouped.ci_high - grouped.ci_low > first.ci_high - first.ci_low


def test_answers_without_probabilities_have_no_bins() -> None:
    frame = pd.DataFrame({"sample_id": ["q0"], "log_probs": [[]]})
    assert reliability_bins(confident_answers([frame], QUESTIONS), {}, arm="a", eval_set="x") == []


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1), st.booleans()), max_size=60))
def test_every_answer_is_in_one_bin_and_every_interval_holds_its_share(drawn: list[tuple[int, float, bool]]) -> None:
    answers = [ConfidentAnswer(f"q{number}", confidence, right) for number, confidence, right in drawn]
    bins = reliability_bins(answers, {}, arm="a", eval_set="x")
    assert sum(each.n for each in bins) == len(answers)
    for each in bins:
        assert each.low <= each.confidence <= each.high
        assert each.ci_low - 1e-9 <= each.accuracy <= each.ci_high + 1e-9
