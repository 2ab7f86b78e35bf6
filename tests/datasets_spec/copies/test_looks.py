from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from datasets_spec.copies.looks import LENGTH, NUM_FREQUENCIES, Looks, as_numbers, from_numbers, looks_of, rounded
from datasets_spec.copies.views import flipped, turned_and_cropped
from tests.makers.planted import photo_like_image
from tests.makers.scans import head_slice


def likeness(one: Looks, two: Looks) -> float:
    return float(one.astype(int) @ two.astype(int)) / LENGTH**2


def known(image: Image.Image) -> Looks:
    looks = looks_of(image)
    assert looks is not None
    return looks


def test_looks_survive_arrow() -> None:
    looks = known(photo_like_image(1))
    assert (from_numbers([as_numbers(looks)])[0] == looks).all()
    assert looks_of(Image.new("RGB", (80, 80), (7, 8, 9))) is None
    assert as_numbers(None) == []


@given(st.integers(0, 2**32))
def test_looks_have_one_length(seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(3, NUM_FREQUENCIES))
    lengths = np.sqrt((rounded(vectors).astype(float) ** 2).sum(axis=1))
    assert lengths == pytest.approx([LENGTH] * 3, abs=3)


@pytest.mark.parametrize("number", range(3))
def test_views_are_the_looks_of_the_mirrored_turned_and_cropped_image(number: int) -> None:
    image = head_slice(number, 0.1)
    for kind in (0, 1):
        own = known(image)[None, kind]
        edited = (ImageOps.mirror(image), ImageOps.flip(image), image.rotate(180))
        for other, view in zip(edited, flipped(own), strict=True):
            assert likeness(known(other)[kind], view[0]) > 0.97
    own = known(photo_like_image(number))[None, 0]
    best = max(
        likeness(known(photo_like_image(number).rotate(8, Image.Resampling.BICUBIC))[0], view[0])
        for view in turned_and_cropped(own)
    )
    assert best > 0.7
