"""A box keeps its finding inside, and no text is read as a box by guessing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datasets_spec.boxes import GRID, Box, BoxForm, box_of, on_grid, outer_box, overlap, parse_box

EDGES = st.tuples(st.integers(0, GRID), st.integers(0, GRID))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    across, down = (sorted(draw(EDGES.filter(lambda pair: pair[0] != pair[1]))) for _ in range(2))
    return Box(across[0], down[0], across[1], down[1])


@given(boxes())
def test_what_is_written_is_read_again(box: Box) -> None:
    assert parse_box(box.text) == box


@pytest.mark.parametrize(
    "text", ["[10, 20, 30, 40]", "(10,20),(30,40)", "10 20 30 40", "{<10><20><30><40>}", " [10, 20, 30, 40]. ",
     "[[10,20],[30,40]]"]
)  # fmt: skip
def test_the_ways_that_models_write_a_box(text: str) -> None:
    assert parse_box(text) == Box(10, 20, 30, 40)


@pytest.mark.parametrize(
    "text",
    [
        "", "yes", "[10, 20, 30]", "[10, 20, 30, 40, 50]", "[30, 20, 10, 40]", "[10, 20, 10, 40]", "[10, 20, 30, 1001]",
        "[-10, 20, 30, 40]", "[0.1, 0.2, 0.3, 0.4]", "the box is [10, 20, 30, 40]", "[10, 20, 30, 40] and [1, 2, 3, 4]",
        "10203040",
    ],
)  # fmt: skip
def test_anything_else_is_no_box(text: str) -> None:
    assert parse_box(text) is None


@pytest.mark.parametrize(
    ("edges", "form", "wanted"),
    [
        ((12, 24, 24, 36), "corners_pixels", Box(250, 500, 500, 750)),
        ((12, 24, 12, 12), "size_pixels", Box(250, 500, 500, 750)),
        ((0.25, 0.5, 0.5, 0.75), "corners_fractions", Box(250, 500, 500, 750)),
        ((250, 500, 500, 750), "corners_thousandths", Box(250, 500, 500, 750)),
        ((0, 0, 48.2, 48), "corners_pixels", Box(0, 0, GRID, GRID)),  # past the edge by rounding
        ((0, 0, 60, 48), "corners_pixels", None),
        ((24, 0, 12, 48), "corners_pixels", None),
        ((0, 0, math.nan, 48), "corners_pixels", None),
        ((0, 0, 48), "corners_pixels", None),
        ((12, 24, 24, 36), "corners_fractions", None),  # pixels taken for fractions are found out
    ],
)
def test_published_boxes(edges: tuple[float, ...], form: BoxForm, wanted: Box | None) -> None:
    assert on_grid(edges, form, (48, 48)) == wanted


@given(st.integers(1, 400), st.integers(1, 400), st.data())
def test_the_box_around_a_mask_holds_every_marked_pixel_and_no_free_edge(
    width: int, height: int, data: st.DataObject
) -> None:
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[top:bottom, left:right] = data.draw(st.sampled_from([1, 255]))
    box = outer_box(Image.fromarray(mask))
    assert box is not None
    assert box.left <= left / width * GRID + 1e-5 < left / width * GRID + 1e-5 + 1 <= box.left + 2 + 1e-5
    assert box.right >= right / width * GRID - 1e-5
    assert box.bottom >= bottom / height * GRID - 1e-5
    assert abs(box.top - top / height * GRID) <= 1


def test_the_noise_of_a_jpeg_is_no_finding_and_an_empty_mask_has_no_box() -> None:
    mask = np.full((100, 100), 6, dtype=np.uint8)
    mask[20:40, 30:60] = 250
    assert outer_box(Image.fromarray(mask)) == Box(300, 200, 600, 400)
    assert outer_box(Image.new("L", (10, 10))) is None


@given(boxes(), boxes())
def test_overlap_is_symmetric_and_within_bounds(one: Box, two: Box) -> None:
    common, union = overlap(one, two)
    assert overlap(two, one) == (common, union)
    assert 0 <= common <= min(one.area, two.area)
    assert max(one.area, two.area) <= union <= one.area + two.area
    assert overlap(one, one) == (one.area, one.area)


def test_a_box_has_an_area() -> None:
    assert box_of(0, 0, 0, 5) is None
    assert box_of(1, 2, 3, 4) == Box(1, 2, 3, 4)
