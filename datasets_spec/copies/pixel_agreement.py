"""Whether two images show the same picture: one is laid over the other, and details and structure are correlated.

Neither alone tells. Structure, forms larger than noise and smaller than the background, agrees between two slices that
differ in a small lesion; details, what a blur takes away, agree wherever a device draws the same grid. A copy has both
in common with its original.
Brightness and contrast cancel out of a correlation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.copies.perceptual_hash import VIEW_CROP

if TYPE_CHECKING:
    from PIL import Image

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]

# From where on two images are the same picture; what they were chosen on is in docs/leakage.md.
MIN_STRUCTURE: Final = 0.972
MIN_DETAIL: Final = 0.6
# Images that are mostly noise lose some of it as structure when they are scaled; to have this much of it in common is
# proof enough. No pair of distinct images came above 0.81.
MIN_DETAIL_OF_NOISE: Final = 0.9
MIN_STRUCTURE_OF_NOISE: Final = 0.9
# Correlation of blurred images below which no shift makes them one: of mild crops 99 % start above 0.82.
_HOPELESS: Final = 0.8
# After the coarsest of the steps below, no copy of 1,440 planted ones (mild edits, both kinds of images) was below 0.89
# and 0.45; most pairs that only look alike are, and finer steps gain them nothing.
_COARSE_STRUCTURE: Final = 0.8
_COARSE_DETAIL: Final = 0.3
# Pixels a side that are compared; more cost time and told nothing more about the images it was chosen on.
_MAX_SIDE: Final = 96
_DETAIL_BLUR: Final = 5
_NOISE_BLUR: Final = 3
_FORMS_PER_SIDE: Final = 4  # a form is smaller than a quarter of the image
# Beyond this share cropped away it is no mild crop, and the search would begin to fit anything.
_MIN_EXTENT: Final = 0.85
_STEPS: Final = (VIEW_CROP / 2, VIEW_CROP / 4, VIEW_CROP / 8, VIEW_CROP / 16)
_STARTS: Final[tuple[Box, ...]] = (
    (0, 0, 1, 1),
    (VIEW_CROP / 2, VIEW_CROP / 2, 1 - VIEW_CROP / 2, 1 - VIEW_CROP / 2),
    *((x, y, x + 1 - VIEW_CROP, y + 1 - VIEW_CROP) for x in (0, VIEW_CROP) for y in (0, VIEW_CROP)),
)
# Shifts across and down, then each of the four edges.
_MOVES: Final = ((1, 0, 1, 0), (0, 1, 0, 1), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How well two images agree once one is laid over the other.

    Args:
        structure: Correlation of forms larger than noise and smaller than the background.
        detail: Correlation of what a blur takes away.
    """

    structure: float
    detail: float

    @property
    def is_copy(self) -> bool:
        """Whether both show the same picture."""
        is_alike = self.structure >= MIN_STRUCTURE and self.detail >= MIN_DETAIL
        return is_alike or (self.structure >= MIN_STRUCTURE_OF_NOISE and self.detail >= MIN_DETAIL_OF_NOISE)


def compare(one: Image.Image, two: Image.Image) -> Agreement:
    """Lays two images over each other and says how well they agree.

    Args:
        one: An upright image.
        two: Another; either may be a mild crop of the other.
    """
    one, two = one.convert("L"), two.convert("L")
    side = min(_MAX_SIDE, *one.size, *two.size)
    found = (_laid_over(one, two, side), _laid_over(two, one, side))
    # Either way round is proof: a heavy JPEG agrees in forms one way and in details the other.
    return max(found, key=lambda agreement: (agreement.is_copy, agreement.detail))


def _laid_over(outer: Image.Image, inner: Image.Image, side: int) -> Agreement:
    """Finds the part of ``outer`` that ``inner`` shows."""
    search = _Search(outer, inner, side)
    best = max(_STARTS, key=search.correlation)
    part = _part(outer, best, side)
    if _correlation(_blurred(part, _NOISE_BLUR), _blurred(search.whole, _NOISE_BLUR)) < _HOPELESS:
        return _agreement(part, search.whole)
    reached = search.correlation(best)
    for step in _STEPS:
        has_moved = True
        while has_moved:
            has_moved = False
            for box in _neighbours(best, step):
                found = search.correlation(box)
                if found > reached + 1e-5:
                    best, reached, has_moved = box, found, True
        agreement = _agreement(_part(outer, best, side), search.whole)
        if agreement.structure < _COARSE_STRUCTURE or agreement.detail < _COARSE_DETAIL:
            break
    return agreement


class _Search:
    """Correlations of parts of one image with the whole of another, each computed once."""

    def __init__(self, outer: Image.Image, inner: Image.Image, side: int) -> None:
        self._outer = outer
        self._side = side
        self.whole = _part(inner, (0, 0, 1, 1), side)
        flat = self.whole.ravel()
        flat = flat - flat.sum() / len(flat)
        self._direction = flat / max(float(np.sqrt(flat @ flat)), 1e-30)
        self._known: dict[Box, float] = {}

    def correlation(self, box: Box) -> float:
        """Of one part; written for speed, because some hundred are tried for a pair."""
        if box not in self._known:
            flat = _part(self._outer, box, self._side).ravel()
            flat -= flat.sum() / len(flat)
            spread = float(flat @ flat)
            self._known[box] = float(flat @ self._direction) / spread**0.5 if spread > 0 else 0.0
        return self._known[box]


def _agreement(one: Floats, two: Floats) -> Agreement:
    background = max(_DETAIL_BLUR, len(one) // _FORMS_PER_SIDE | 1)
    forms = (_blurred(grid, _NOISE_BLUR) - _blurred(grid, background) for grid in (one, two))
    return Agreement(
        structure=_correlation(*forms),
        detail=_correlation(one - _blurred(one, _DETAIL_BLUR), two - _blurred(two, _DETAIL_BLUR)),
    )


def _neighbours(box: Box, step: float) -> list[Box]:
    moved = []
    for move in _MOVES:
        for sign in (step, -step):
            left, top, right, bottom = (min(1.0, max(0.0, edge + sign * m)) for edge, m in zip(box, move, strict=True))
            if right - left >= _MIN_EXTENT and bottom - top >= _MIN_EXTENT:
                moved.append((left, top, right, bottom))
    return moved


def _part(image: Image.Image, box: Box, side: int) -> Floats:
    from PIL import Image as Pillow

    width, height = image.size
    pixels = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
    small = image.resize((side, side), Pillow.Resampling.BILINEAR, box=pixels)
    return np.frombuffer(small.tobytes(), dtype=np.uint8).astype(np.float32).reshape(side, side)


def _blurred(grid: Floats, width: int) -> Floats:
    """Means of squares around every pixel."""
    from scipy.ndimage import uniform_filter

    return np.asarray(uniform_filter(grid, width, mode="nearest"), dtype=np.float32)


def _correlation(one: Floats, two: Floats) -> float:
    one, two = one - one.mean(), two - two.mean()
    scale = float(np.sqrt((one * one).sum() * (two * two).sum()))
    return float((one * two).sum()) / scale if scale > 0 else 0.0
