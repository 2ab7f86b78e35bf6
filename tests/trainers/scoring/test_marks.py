"""Marks of words and boxes, counted by hand, and how a backbone writes boxes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.boxes import BOX_INSTRUCTION, GRID, Box, overlap
from tests.datasets_spec.test_boxes import boxes
from tests.makers.families import tiny_backbone, toy_row
from trainers.backbone.adapters import add_adapter
from trainers.backbone.backbone import Backbone
from trainers.prompts.box_language import NUM_COARSE_LINES, BoxLanguage, box_language_of
from trainers.prompts.encoder import example_from_row
from trainers.recipe import Recipe
from trainers.rows.feeds import DirectFeed
from trainers.scoring.marks import mark_box, mark_text
from trainers.scoring.outcome import Outcome
from trainers.scoring.scorer import score_rows
from trainers.scoring.summary import summarise_marks
from trainers.training.loop import finetune

WORDS = st.lists(st.sampled_from(["mild", "left", "effusion", "no", "right"]), max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("answer", "gold", "is_exact", "token_f1", "rouge_l"),
    [
        ("The mild effusion.", "mild effusion", True, 1, 1),
        ("effusion mild", "mild effusion", False, 1, 0.5),
        ("mild left effusion", "mild effusion", False, 0.8, 0.8),
        ("effusion effusion", "effusion", False, 2 / 3, 2 / 3),
        ("", "effusion", False, 0, 0),
        ("fracture", "effusion", False, 0, 0),
        ("a.", "a", True, 1, 1),
    ],
)
def test_words(answer: str, gold: str, is_exact: bool, token_f1: float, rouge_l: float) -> None:
    mark = mark_text(answer, gold)
    assert mark.is_exact is is_exact
    assert (mark.token_f1, mark.rouge_l) == pytest.approx((token_f1, rouge_l))


@given(WORDS, WORDS)
def test_order_can_only_cost_and_exact_is_full_marks(one: str, two: str) -> None:
    mark = mark_text(one, two)
    assert 0 <= mark.rouge_l <= mark.token_f1 <= 1
    assert mark.is_exact is (one.split() == two.split())
    assert (mark_text(two, one).token_f1, mark_text(two, one).rouge_l) == (mark.token_f1, mark.rouge_l)


def test_boxes_by_hand() -> None:
    gold = Box(0, 0, 500, 1000)
    assert mark_box(gold, gold).iou == 1
    half = mark_box(Box(0, 0, 1000, 1000), gold)
    assert (half.iou, half.intersection, half.union, half.is_right) == (0.5, 0.5, 1.0, True)
    assert not mark_box(Box(0, 0, 499, 500), gold).is_right
    none = mark_box(None, gold)
    assert (none.iou, none.intersection, none.union, none.is_right) == (0, 0, 0.5, False)


def outcome(kind: str, **fields: Any) -> Outcome:
    plain: dict[str, Any] = {
        "sample_id": "s", "eval_set": "t", "split": "search", "predicted": -1, "log_probs": [], "gold_log_prob": None,
        "generated": None, "generation_correct": None, "invalid": False, "correct": False, "answer_kind": kind,
    }  # fmt: skip
    return Outcome(**(plain | fields))


def test_ciou_sums_before_it_divides() -> None:
    small = {"iou": 1.0, "intersection": 0.01, "union": 0.01, "correct": True}
    missed = {"iou": 0.0, "intersection": 0.0, "union": 0.49, "invalid": True}
    figures = summarise_marks([outcome("box", **small), outcome("box", **missed), outcome("closed")])
    assert list(figures) == ["box"]
    assert figures["box"] == pytest.approx({"n": 2, "correct": 1, "invalid": 1, "iou": 0.5, "ciou": 0.02})
    assert summarise_marks([outcome("closed")]) == {}


@given(boxes())
def test_a_coarse_grid_names_the_smallest_box_that_holds_it(box: Box) -> None:
    language = BoxLanguage(num_lines=NUM_COARSE_LINES)
    found = language.read(language.write(box))
    assert found is not None
    assert overlap(found, box)[0] == box.area
    step = GRID // (NUM_COARSE_LINES - 1)
    assert all(abs(mine - own) < step for mine, own in zip(found, box, strict=True))
    assert BoxLanguage().read(BoxLanguage().write(box)) == box


@pytest.mark.parametrize("text", ["", "B C", "B A C", "B B B C", "A A F B", "A A B B B", "AABB", "[0, 0, 250, 250]"])
def test_letters_that_are_no_box(text: str) -> None:
    assert BoxLanguage(num_lines=NUM_COARSE_LINES).read(text) is None


def test_the_tokenizer_decides_how_boxes_are_written() -> None:
    assert box_language_of(tiny_backbone("llava").encoder.tokenizer).num_lines == NUM_COARSE_LINES
    byte_level = tiny_backbone("qwen2_vl").encoder
    assert byte_level.boxes == BoxLanguage()
    row = toy_row(0) | {"options": [], "answer_index": -1, "answer": "[0, 250, 500, 750]", "answer_kind": "box"}
    ids = byte_level.encode_prompts([example_from_row(row)])["input_ids"][0]
    assert BOX_INSTRUCTION in byte_level.tokenizer.decode(ids)


def free_rows(num: int) -> pa.Table:
    """Open, box and closed questions by turns; the word and the box are always the same."""
    kinds: list[dict[str, Any]] = [
        {"answer": "large left", "answer_kind": "open", "question": "What is the lung image ?"},
        {"answer": "[250, 0, 500, 250]", "answer_kind": "box", "question": "Which is the lung image ?"},
    ]
    rows = []
    for index in range(num):
        row = toy_row(index) | {"subset": "free"}
        if index % 3:
            row |= {"options": [], "answer_index": -1, **kinds[index % 3 - 1]}
        rows.append(row)
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module")
def learned() -> tuple[Backbone, pa.Table, list[Outcome], list[Outcome]]:
    """Outcomes before and after a fine-tune on all three kinds."""
    backbone, rows = tiny_backbone("llava"), free_rows(12)
    feed = DirectFeed(backbone.encoder, rows)
    before = score_rows(
        backbone.model, backbone.encoder, feed, eval_set="free", split="search", batch_size=5, generate=False
    )
    recipe = Recipe(num_steps=40, batch_size=12, learning_rate=2e-2, lora_modules="language")
    model = add_adapter(backbone, recipe, seed=0)
    finetune(model, feed, recipe, seed=0)
    after = score_rows(model, backbone.encoder, feed, eval_set="free", split="search", batch_size=5, generate=False)
    model.unload()
    return backbone, rows, before, after


def test_words_and_boxes_are_learned_and_scored(
    learned: tuple[Backbone, pa.Table, list[Outcome], list[Outcome]],
) -> None:
    _, rows, before, after = learned
    assert [o.answer_kind for o in after] == rows["answer_kind"].to_pylist()
    assert [o.sample_id for o in after] == rows["sample_id"].to_pylist()
    figures, untrained = summarise_marks(after), summarise_marks(before)
    assert figures["open"]["token_f1"] == figures["open"]["rouge_l"] == 1
    assert figures["box"]["iou"] == figures["box"]["ciou"] == 1
    assert (figures["open"]["n"], figures["box"]["n"]) == (4, 4)
    assert untrained["open"]["token_f1"] < 1
    assert untrained["box"]["iou"] < 1


def test_what_is_no_box_is_wrong_and_invalid(learned: tuple[Backbone, pa.Table, list[Outcome], list[Outcome]]) -> None:
    unread = [o for o in learned[2] if o.answer_kind == "box" and o.invalid]
    assert unread, "the untrained toy backbone was expected to write no boxes"
    for found in unread:
        assert (found.correct, found.iou, found.intersection) == (False, 0.0, 0.0)
        assert found.union == pytest.approx(1 / 16)


def test_outcomes_hold_no_text(learned: tuple[Backbone, pa.Table, list[Outcome], list[Outcome]]) -> None:
    for found in learned[3]:
        texts = [v for v in dataclasses.asdict(found).values() if isinstance(v, str)]
        assert not any("left" in text or "B A C B" in text for text in texts)
