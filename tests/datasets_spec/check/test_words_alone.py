from __future__ import annotations

import random
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.check.words_alone import TextQuestion, cluster_interval, text_only, words_alone


def questions(num: int, *, gold_is: str | None, seed: int = 0) -> list[TextQuestion]:
    """Questions whose answer is in the options' words, or nowhere."""
    rng = random.Random(seed)
    made = []
    for index in range(num):
        options = ["stable", "worsening", "improving"]
        rng.shuffle(options)
        gold = options.index(gold_is) if gold_is and rng.random() < 0.8 else rng.randrange(3)
        made.append(TextQuestion(text="How has it changed?", options=tuple(options), gold=gold, cluster=str(index)))
    return made


def test_a_word_that_gives_the_answer_away_is_found() -> None:
    found = text_only(questions(300, gold_is="worsening"), questions(200, gold_is="worsening", seed=1))
    assert found is not None
    assert found.accuracy > 0.8
    assert found.low > 0.7
    assert found.num_trained == 300


def test_without_a_shortcut_it_guesses() -> None:
    found = text_only(questions(300, gold_is=None), questions(300, gold_is=None, seed=1))
    assert found is not None
    assert found.low < 1 / 3 < found.high


def test_without_training_rows_the_questions_teach_one_another() -> None:
    found = text_only([], questions(200, gold_is="worsening"))
    assert found is not None
    assert found.accuracy > 0.7
    assert found.num_trained == 0
    assert text_only([], []) is None
    assert text_only([], questions(2, gold_is=None)) is None


def test_a_question_decides_which_option_is_right() -> None:
    rng = random.Random(0)
    asked = []
    for index in range(400):
        organ = rng.choice(["lung", "brain"])
        options = ("pneumonia", "glioma") if rng.random() < 0.5 else ("glioma", "pneumonia")
        gold = options.index("pneumonia" if organ == "lung" else "glioma")
        asked.append(TextQuestion(text=f"What is in this {organ}?", options=options, gold=gold, cluster=str(index)))
    found = text_only(asked[:250], asked[250:])
    assert found is not None
    assert found.accuracy > 0.95


def test_options_of_equal_text_are_one() -> None:
    asked = [
        TextQuestion(text="q", options=("yes", "no", "Yes "), gold=2 * (index % 2), cluster=str(index))
        for index in range(60)
    ]
    found = text_only(asked[:40], asked[40:])
    assert found is not None
    assert found.accuracy == 1.0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef")), min_size=2, max_size=60))
def test_intervals_hold_the_mean_and_widen_when_rows_are_repeated(rows: list[tuple[bool, str]]) -> None:
    values = [float(right) for right, _ in rows]
    clusters = [cluster for _, cluster in rows]
    low, high = cluster_interval(values, clusters)
    mean = sum(values) / len(values)
    assert 0 <= low <= mean <= high <= 1
    # Asking everything twice is no new patient.
    assert cluster_interval(values * 2, clusters * 2) == pytest.approx((low, high))


def test_few_patients_have_students_quantile() -> None:
    low, high = cluster_interval([0.4, 0.5, 0.6] * 10, ["one", "two", "three"] * 10)
    # Means of 0.4, 0.5 and 0.6: 0.5 +- 4.303 * 0.1 / sqrt(3), Student's t with two degrees of freedom.
    assert (low, high) == pytest.approx((0.5 - 0.2484, 0.5 + 0.2484), abs=1e-4)


def test_one_patient_says_nothing_about_the_next() -> None:
    assert cluster_interval([1.0] * 50, ["one"] * 50) == (0.0, 1.0)


def test_questions_that_compare_patients_are_one_cluster() -> None:
    rows = [
        {"question": "Who is worse?", "options": ["one", "two"], "answer_index": 0, "answer_kind": "closed"}
        | {"group": f"{one}+{two}", "image_hashes": [f"{one}{two}", f"{two}{one}"]}
        for one, two in combinations("abcdefgh", 2)
    ]
    store: Any = SimpleNamespace(read=lambda *_place, columns: pa.Table.from_pylist(rows).select(columns))
    found = words_alone(store, "pairs", "confirm")
    assert found is not None
    assert (found.num_clusters, found.low, found.high) == (1, 0.0, 1.0)
