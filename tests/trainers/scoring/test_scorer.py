"""Every question yields exactly one outcome, and an outcome is never a guess."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.sample import option_groups
from tests.makers.families import tiny_backbone, toy_row
from trainers.backbone.backbone import Backbone
from trainers.prompts.encoder import Example
from trainers.rows.feeds import DirectFeed
from trainers.scoring.outcome import OUTCOME_SCHEMA, Outcome, outcomes_table
from trainers.scoring.scorer import _closed_outcome, _log_sum_exp, score_rows

PLACE = {"sample_id": "s", "eval_set": "t", "split": "search"}


def outcome_of(options: list[str], log_probs: list[float], gold: int, text: str | None = None) -> Outcome:
    example = Example(
        sample_id="s", subset="t", prompt="", options=tuple(options), answer_index=gold, answer="", images=()
    )
    return _closed_outcome(example, log_probs, text, PLACE)


def test_the_most_likely_option_is_the_answer() -> None:
    found = outcome_of(["left", "right", "both"], [-3.0, -0.5, -2.0], gold=1)
    assert (found.predicted, found.correct, found.invalid) == (1, True, False)
    assert found.gold_log_prob == pytest.approx(-0.5)
    assert (found.generated, found.generation_correct) == (None, None)
    assert not outcome_of(["left", "right", "both"], [-3.0, -0.5, -2.0], gold=2).correct


def test_options_of_equal_text_pool_their_probability() -> None:
    options, log_probs = ["Left  lung", "right", "left lung"], [math.log(0.3), math.log(0.4), math.log(0.3)]
    for gold in (0, 2):
        found = outcome_of(options, log_probs, gold)
        assert (found.predicted, found.correct) == (0, True)
        assert found.gold_log_prob == pytest.approx(math.log(0.6))
    assert not outcome_of(options, log_probs, 1).correct


@pytest.mark.parametrize(("text", "is_right"), [("A", True), ("C", True), ("B", False)])
def test_either_letter_of_equal_options_is_right(text: str, is_right: bool) -> None:
    for gold in (0, 2):
        found = outcome_of(["Left", "right", "left "], [-1.0, -1.0, -1.0], gold, text)
        assert (found.generation_correct, found.generated, found.invalid) == (is_right, text, False)


def test_ties_go_to_the_first_option() -> None:
    assert outcome_of(["a", "b", "c"], [-1.0, -0.5, -0.5], gold=2).predicted == 1
    assert outcome_of(["a", "b"], [-1.0, -1.0], gold=0).correct


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_a_number_that_is_not_finite_is_invalid_and_wrong(value: float, place: int) -> None:
    log_probs = [-1.0, -1.0]
    log_probs[place] = value
    for gold in (0, 1):
        found = outcome_of(["a", "b"], log_probs, gold)
        assert (found.predicted, found.correct, found.invalid) == (-1, False, True)


@pytest.mark.parametrize("text", ["", "C", "A or B", "the left one"])
def test_a_text_without_a_letter_is_invalid_and_wrong_but_the_likelihood_stands(text: str) -> None:
    found = outcome_of(["left", "right"], [-0.1, -3.0], 0, text)
    assert (found.generated, found.generation_correct, found.invalid) == ("", False, True)
    assert found.correct


@given(st.lists(st.tuples(st.sampled_from(["x", "X ", "y", "z"]), st.floats(-9, 0)), min_size=1, max_size=6), st.data())
def test_the_prediction_is_the_group_with_the_most_probability(
    options: list[tuple[str, float]], data: st.DataObject
) -> None:
    texts, log_probs = [text for text, _ in options], [lp for _, lp in options]
    gold = data.draw(st.integers(0, len(options) - 1))
    groups = option_groups(texts)
    mass = {g: sum(math.exp(lp) for lp, h in zip(log_probs, groups, strict=True) if h == g) for g in groups}
    found = outcome_of(texts, log_probs, gold)
    assert mass[found.predicted] == pytest.approx(max(mass.values()))
    assert found.correct == (found.predicted == groups[gold])
    assert found.gold_log_prob == pytest.approx(math.log(mass[groups[gold]]))


def test_sums_of_probabilities_do_not_underflow() -> None:
    assert _log_sum_exp([-1000.0, -1000.0]) == pytest.approx(-1000.0 + math.log(2))
    assert _log_sum_exp([]) == -math.inf


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone("llava")


def mixed_rows() -> pa.Table:
    """Closed and open questions by turns, with one to three images and two to four options."""
    rows = []
    for index in range(9):
        row = toy_row(index, num_images=1 + index % 3, is_open=index % 4 == 3)
        if row["options"] and index % 2:
            row["options"] = [*row["options"], "maybe", "no "]
        rows.append(row)
    return pa.Table.from_pylist(rows)


def score(backbone: Backbone, **options: Any) -> list[Outcome]:
    settings: dict[str, Any] = {"eval_set": "t", "split": "confirm", "batch_size": 4, "generate": True} | options
    return score_rows(backbone.model, backbone.encoder, DirectFeed(backbone.encoder, mixed_rows()), **settings)


def test_every_question_has_one_outcome_in_its_place(backbone: Backbone) -> None:
    rows = mixed_rows().to_pylist()
    for generate in (True, False):
        outcomes = score(backbone, generate=generate)
        assert [o.sample_id for o in outcomes] == [row["sample_id"] for row in rows]
        for row, found in zip(rows, outcomes, strict=True):
            is_open = row["answer_index"] < 0
            assert (found.eval_set, found.split) == ("t", "confirm")
            assert len(found.log_probs) == len(row["options"])
            assert (found.gold_log_prob is None) == is_open
            assert (found.generation_correct is None) == (not generate and not is_open)
            assert found.predicted == -1 if is_open else 0 <= found.predicted < len(row["options"])


def test_the_log_probabilities_are_those_of_the_letters_after_the_prompt(backbone: Backbone) -> None:
    from trainers.prompts.encoder import example_from_row

    row = toy_row(0)
    (found,) = score_rows(
        backbone.model, backbone.encoder, DirectFeed(backbone.encoder, pa.Table.from_pylist([row])), eval_set="t",
        split="search", batch_size=1, generate=False,
    )  # fmt: skip
    inputs = backbone.encoder.encode_prompts([example_from_row(row)])
    with torch.inference_mode():
        expected = backbone.model(**inputs).logits[0, -1].log_softmax(-1)
    ids = [backbone.encoder.tokenizer(letter, add_special_tokens=False).input_ids[0] for letter in "AB"]
    assert found.log_probs == pytest.approx(expected[ids].tolist(), abs=1e-5)


def test_a_broken_model_is_scored_wrong_not_skipped() -> None:
    backbone = tiny_backbone("llava")
    with torch.no_grad():
        for parameter in backbone.model.get_decoder().parameters():
            parameter.fill_(math.nan)
    outcomes = score(backbone, generate=False)
    assert len(outcomes) == 9
    assert all(o.invalid and not o.correct for o in outcomes if o.log_probs)


def test_outcomes_hold_numbers_and_letters_only(backbone: Backbone) -> None:
    table = outcomes_table(score(backbone))
    assert table.schema == OUTCOME_SCHEMA
    assert set(table.column("generated").to_pylist()) <= {None, "", *"ABCD"}
    assert not {"question", "answer", "options"} & set(table.column_names)
    assert outcomes_table([]).schema == OUTCOME_SCHEMA
