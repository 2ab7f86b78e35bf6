"""Boxes of findings: four whole numbers on a grid of 0 to 1000 over the image, whatever its size."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

# A thousandth of the image: the grid on which language models that write boxes as text are trained (Qwen-VL,
# arXiv:2308.12966; Shikra, arXiv:2306.15195, writes as many digits as fractions).
GRID: Final = 1000
# Closes a box question for a model that writes numbers.
BOX_INSTRUCTION: Final = (
    f"Answer with the box as [left, top, right, bottom], in whole numbers from 0 to {GRID} over the image."
)
# How published files write a box: corners (left, top, right, bottom) or COCO's corner and size, and in what unit.
BoxForm = Literal["corners_pixels", "size_pixels", "corners_fractions", "corners_thousandths"]
# Slack for corners that rounding put past the edge, as a share of the image.
_SLACK: Final = 0.01
_BETWEEN = r"[\s,;()\[\]{}<>]"
_BOX_TEXT = re.compile(f"{_BETWEEN}*" + f"{_BETWEEN}+".join([r"(\d{1,4})"] * 4) + rf"{_BETWEEN}*\.?")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Box(NamedTuple):
    """Left, top, right and bottom edge on the grid; left < right, top < bottom."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """Area in squares of the grid."""
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def text(self) -> str:
        """The box as a model writes it and as the store holds it."""
        return f"[{self.left}, {self.top}, {self.right}, {self.bottom}]"


def box_of(left: int, top: int, right: int, bottom: int) -> Box | None:
    """Return a box, or None where the numbers are none: outside the grid, or without an area."""
    is_box = 0 <= left < right <= GRID and 0 <= top < bottom <= GRID
    return Box(left, top, right, bottom) if is_box else None


def parse_box(text: str) -> Box | None:
    """Return the box that a text is, or None; never guesses.

    Accepted are four whole numbers with commas, spaces and brackets around and between them, and a full stop.

    Args:
        text: what a model wrote, or a stored answer.
    """
    match = _BOX_TEXT.fullmatch(text.strip())
    return None if match is None else box_of(*(int(number) for number in match.groups()))


def numbers_in(text: str) -> tuple[float, ...]:
    """Return every number written in a text."""
    return tuple(float(number) for number in _NUMBER.findall(text))


def on_grid(edges: Sequence[float], form: BoxForm, size: tuple[int, int]) -> Box | None:
    """Return a published box on the grid, rounded outwards so that the finding stays inside; None where it is none.

    Args:
        edges: four numbers as published.
        form: what they mean.
        size: width and height of the image, in pixels.
    """
    if len(edges) != 4 or not all(math.isfinite(edge) for edge in edges):
        return None
    left, top, right, bottom = edges
    if form == "size_pixels":
        right, bottom = left + right, top + bottom
    scale_x, scale_y = {"corners_fractions": (1, 1), "corners_thousandths": (GRID, GRID)}.get(form, size)
    shares = (left / scale_x, top / scale_y, right / scale_x, bottom / scale_y)
    if any(not -_SLACK <= share <= 1 + _SLACK for share in shares):
        return None
    low = [max(0, math.floor(share * GRID + 1e-6)) for share in shares[:2]]
    high = [min(GRID, math.ceil(share * GRID - 1e-6)) for share in shares[2:]]
    return box_of(low[0], low[1], high[0], high[1])


def outer_box(mask: Image.Image) -> Box | None:
    """Return the box around a mask; None where nothing is marked.

    Marked is what is brighter than half of the brightest pixel: masks are published with 1 or 255 for the finding, and
    as JPEG, whose edges are not clean.

    Args:
        mask: an image as large as the picture it belongs to.
    """
    grey: NDArray[Any] = np.asarray(mask.convert("L"), dtype=np.int64)  # [height, width]
    is_marked = 2 * grey > grey.max()
    if not is_marked.any():
        return None
    rows, columns = np.flatnonzero(is_marked.any(axis=1)), np.flatnonzero(is_marked.any(axis=0))
    edges = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return on_grid(edges, "corners_pixels", mask.size)


def overlap(one: Box, two: Box) -> tuple[int, int]:
    """Return the areas of intersection and union, in squares of the grid."""
    width = min(one.right, two.right) - max(one.left, two.left)
    height = min(one.bottom, two.bottom) - max(one.top, two.top)
    common = max(0, width) * max(0, height)
    return common, one.area + two.area - common
