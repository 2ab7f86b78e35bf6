from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from datasets_spec.copies.picture import SIDE, picture_of
from tests.makers.scans import fundus_image, head_slice, speckle_image


def test_the_black_surround_and_the_edge_of_the_content_are_left_out() -> None:
    picture = picture_of(fundus_image(0))
    down, across = (2 * np.mgrid[0:SIDE, 0:SIDE] + 1) / SIDE - 1
    assert not picture.mask[down**2 + across**2 > 1.0].any()
    assert picture.mask[down**2 + across**2 < 0.7].all()
    left, top, right, bottom = picture.box
    assert left == pytest.approx(0.12, abs=0.03)
    assert right == pytest.approx(0.88, abs=0.03)
    assert bottom - top > 0.9


def test_a_copy_of_other_contrast_has_the_same_content() -> None:
    original = fundus_image(2)
    for factor in (0.7, 1.2):
        copy = ImageEnhance.Contrast(original).enhance(factor)
        assert (picture_of(copy).mask != picture_of(original).mask).mean() < 0.02


def test_a_thin_frame_around_the_surround_is_no_content() -> None:
    framed = head_slice(1, 0.0)
    ImageDraw.Draw(framed).rectangle((0, 0, framed.width - 1, framed.height - 1), outline=255, width=2)
    assert picture_of(framed).box == pytest.approx(picture_of(head_slice(1, 0.0)).box, abs=0.02)


def test_without_a_surround_everything_is_content() -> None:
    picture = picture_of(speckle_image(0))
    assert picture.box == pytest.approx((0, 0, 1, 1))
    assert float(picture.mask.mean()) > 0.9


def test_an_image_of_nothing_but_surround_is_compared_whole() -> None:
    assert picture_of(Image.new("L", (50, 40))).box == (0, 0, 1, 1)


def test_brightness_and_contrast_cancel_out_of_local_contrast() -> None:
    levels = np.asarray(speckle_image(3), dtype=float)
    pictures = [picture_of(Image.fromarray((levels * a + b).astype(np.uint8))) for a, b in ((1, 0), (0.5, 60))]
    one, two = (picture.contrast for picture in pictures)
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.98
