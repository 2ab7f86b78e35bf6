"""What counts as one picture, on pictures with the traits by which medical images mislead."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageOps

from datasets_spec.copies.picture import picture_of
from datasets_spec.copies.pixel_agreement import Agreement, compare
from tests.makers.planted import FLIP, MILD, STRONG, phantom_image, photo_like_image
from tests.makers.scans import fundus_image, head_slice, speckle_image

RNG = np.random.default_rng(5)
MAKERS: dict[str, Callable[[int], Image.Image]] = {
    "fundus": fundus_image,
    "head": lambda number: head_slice(number, 0.1),
    "ultrasound": speckle_image,
    "photo": photo_like_image,
}


def agreement(one: Image.Image, two: Image.Image, *, flips: bool = True) -> Agreement:
    return compare(picture_of(one), picture_of(two), flips=flips)


@pytest.mark.parametrize("kind", MAKERS)
def test_different_images_of_one_device_are_no_copies(kind: str) -> None:
    pictures = [picture_of(MAKERS[kind](number)) for number in range(7)]
    assert {compare(one, two).relation for one, two in combinations(pictures, 2)} == {"other"}


def test_different_eyes_in_one_black_circle_agree_in_nothing_but_the_circle() -> None:
    one, two = (np.asarray(fundus_image(number), dtype=float) for number in (1, 2))
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.9
    assert agreement(fundus_image(1), fundus_image(2)).local < 0.85


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("edit", [*MILD, "crop 10 %", "turned 2 degrees", "turned 10 degrees", "stretched 10 %"])
def test_an_edited_copy_is_the_same_picture(kind: str, edit: str) -> None:
    original = MAKERS[kind](3)
    copy = {**MILD, **STRONG}[edit](original, np.random.default_rng(2))
    assert agreement(original, copy).relation == "copy"


@pytest.mark.parametrize("flip", [ImageOps.mirror, ImageOps.flip, lambda image: image.rotate(180)])
def test_a_flipped_copy_is_one_where_flips_count(flip: Callable[[Image.Image], Image.Image]) -> None:
    original = head_slice(4, 0.2)
    assert agreement(original, flip(original)).is_copy
    assert not agreement(original, flip(original), flips=False).is_copy


def test_an_equalised_copy_in_another_frame_is_one() -> None:
    original = head_slice(2, 0.0)
    wide = Image.new("L", (400, 240))
    wide.paste(ImageOps.equalize(original).resize((260, 230)), (70, 5))
    assert agreement(original, wide).is_copy


def test_a_frame_cropped_and_stretched_is_one() -> None:
    original = speckle_image(6)
    part = original.crop((15, 0, 300, 245)).resize((320, 256), Image.Resampling.BICUBIC)
    assert agreement(original, part).is_copy


def test_arrows_drawn_into_a_copy_do_not_hide_it() -> None:
    original = head_slice(5, 0.3)
    marked = original.copy()
    for place in ((60, 80), (150, 120)):
        marked.paste(255, (*place, place[0] + 14, place[1] + 5))
    assert agreement(original, marked).is_copy


@pytest.mark.parametrize("patient", range(4))
def test_neighbouring_slices_are_told_from_copies(patient: int) -> None:
    here, next_to_it = head_slice(patient, 0.1), head_slice(patient, 0.15)
    assert agreement(here, next_to_it).relation == "slice"
    again = io.BytesIO()
    here.save(again, "JPEG", quality=60)
    assert agreement(here, Image.open(again)).relation == "copy"


def test_slices_far_apart_and_other_heads_are_neither() -> None:
    assert agreement(head_slice(1, -0.4), head_slice(1, 0.5)).relation == "other"
    assert agreement(head_slice(1, 0.1), head_slice(2, 0.1)).relation == "other"


def test_the_same_scene_with_other_noise_is_no_copy() -> None:
    scene = np.asarray(photo_like_image(8, size=96).convert("L"), dtype=float) * 0.6 + 50
    one, two = (Image.fromarray((scene + RNG.normal(0, 14, scene.shape)).clip(0, 255).astype(np.uint8)) for _ in "ab")
    assert not agreement(one, two).is_copy


@pytest.mark.parametrize("edit", ["JPEG 50", "crop 5 %", "turned 2 degrees", "contrast -20 %"])
def test_it_does_not_matter_which_image_is_asked_first(edit: str) -> None:
    for maker, number in ((fundus_image, 1), (phantom_image, 9)):
        original = maker(number)
        copy = {**MILD, **STRONG}[edit](original, np.random.default_rng(0))
        assert agreement(original, copy) == agreement(copy, original)


def test_small_pictures_must_agree_better() -> None:
    assert Agreement(local=0.95, detail=0.7).is_copy
    assert not Agreement(local=0.95, detail=0.7, num_pixels=48).is_copy
    assert agreement(phantom_image(3), FLIP(phantom_image(3), RNG)).is_copy


def test_nothing_in_common_is_no_copy() -> None:
    black, white = Image.new("L", (64, 64)), Image.new("L", (64, 64), 255)
    assert agreement(black, white).relation == "other"
    assert agreement(black, fundus_image(0)).relation == "other"
