from __future__ import annotations

import random
from pathlib import Path

import pytest

from datasets_spec.boxes import BoxForm
from datasets_spec.catalog.draft_boxes import guess_boxes
from datasets_spec.sample import OPEN_ANSWER, RawSample
from tests.makers.corpus import save_picture

SIZE = 12  # of a saved picture
DRAWN = random.Random(0)


def edges(form: str) -> tuple[float, ...]:
    left, top = DRAWN.randrange(0, 6), DRAWN.randrange(0, 6)
    width, height = DRAWN.randrange(1, 6), DRAWN.randrange(1, 6)
    if form == "size_pixels":
        return (left, top, width, height)
    scale = {"corners_pixels": 1.0, "corners_fractions": 1 / SIZE, "corners_thousandths": 1000 / SIZE}[form]
    return tuple(scale * edge for edge in (left, top, left + width, top + height))


def sample(index: int, box: tuple[float, ...] | None, answer: str = "") -> RawSample:
    return RawSample(
        index=index, question="where?", options=(), answer_index=OPEN_ANSWER, answer=answer,
        answer_kind="box" if box else "open", label="box", image_paths=(f"{index}.png",), box=box,
    )  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index in range(20):
        save_picture(tmp_path / f"{index}.png", index)
    return tmp_path


@pytest.mark.parametrize("form", ["corners_pixels", "size_pixels", "corners_fractions", "corners_thousandths"])
def test_the_form_is_the_one_that_fits(form: BoxForm, root: Path) -> None:
    guess = guess_boxes([sample(index, edges(form)) for index in range(20)], root)
    assert guess is not None
    assert (guess.form, guess.surety, guess.in_words) == (form, "likely", False)


def test_few_boxes_that_fit_two_forms_are_doubtful(root: Path) -> None:
    guess = guess_boxes([sample(0, (1, 2, 3, 4))], root)
    assert guess is not None
    assert (guess.form, guess.surety) == ("corners_pixels", "doubtful")
    assert "size_pixels" in guess.why


def test_without_images_only_fractions_tell_themselves(root: Path) -> None:
    assert (guess := guess_boxes([sample(0, (1, 2, 3, 4))], None)) is not None
    assert (guess.form, guess.why) == (None, "the images were not found")
    assert (guess := guess_boxes([sample(0, (0.1, 0.2, 0.3, 0.4))], None)) is not None
    assert guess.form == "corners_fractions"


def test_boxes_in_words_are_boxes(root: Path) -> None:
    guess = guess_boxes([sample(0, None, "[0.1, 0.2, 0.3, 0.4]")], root)
    assert guess is not None
    assert guess.in_words
    assert guess_boxes([sample(0, None, "in the left lung")], root) is None
    assert guess_boxes([], root) is None
