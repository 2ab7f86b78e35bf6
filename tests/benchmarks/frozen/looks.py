"""What the baseline learns of how an image looks.

A copy of the product's functions of November 2026 that never changes: see `image_file.py`.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion, label, maximum_filter, minimum_filter, uniform_filter

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]

# Pixels a side that are compared: with 64 neighbouring slices look like copies, more cost time and told nothing more.
SIDE: Final = 96
SURVEY_SIDE: Final = 128
# Share of the range of greys, between the 1st and the 99th percentile, up to which an edge counts as dark surround; in
# levels of 255 what JPEG adds to black. Relative, so that a copy of other contrast has the same surround.
_DARK_SHARE: Final = 0.08
_DARK_LEVELS: Final = 2
# Thinner than these pixels, lines and letters in the surround are no content.
_LINE: Final = 5
# Pixels of the content's edge left out: the edge itself is the device's, blurred over three pixels.
_EDGE: Final = 3
# A row or column with less content than this share is surround: a stray letter does not widen the box.
_MIN_LINE: Final = 0.03
# Below it nothing but surround would be left to compare; then the whole image is content.
_MIN_CONTENT: Final = 0.1
_MIN_EXTENT: Final = 0.25
# Width of the window over which contrast is made equal, and the variance (levels squared) below which it is noise.
_CONTRAST_WINDOW: Final = 25
_NOISE_VARIANCE: Final = 9.0

Looks = NDArray[np.int8]
Doubles = NDArray[np.float64]

# Lowest frequencies that are kept, of a picture in mirrored, turned or cropped copies too; with 60 or 120 of them fewer
# copies were nearest to their originals.
NUM_FREQUENCIES: Final = 80
LENGTH: Final = 127  # of the vector of one look: what int8 holds
_SIDE: Final = 48
_NUM_WAVES: Final = 11
# Grey levels; below it an image is a surface without looks. Copies of it are found by their pixels.
_FLAT: Final = 2.0


@cache
def frequencies() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Waves down and across of every number of a look, the lowest frequencies first."""
    waves = [(u, v) for u in range(_NUM_WAVES) for v in range(_NUM_WAVES) if u or v]
    waves.sort(key=lambda wave: (wave[0] ** 2 + wave[1] ** 2, wave))
    chosen = np.array(waves[:NUM_FREQUENCIES], dtype=np.intp)
    return chosen[:, 0], chosen[:, 1]


@cache
def cosines(side: int) -> Doubles:
    """Orthogonal cosine waves over a side: [waves, side]."""
    places = 2 * np.arange(side) + 1
    found = np.cos(np.pi * places[None, :] * np.arange(_NUM_WAVES)[:, None] / (2 * side))
    found[0] *= 0.5**0.5
    return found


def looks_of(image: Image.Image) -> Looks | None:
    """Returns what an image looks like.

    Args:
        image: Any upright image.

    Returns:
        Looks (2, 80) of content and frame, or None for an image of one grey.
    """
    survey = survey_of(image.convert("L"))
    if float(np.asarray(survey, dtype=np.float64).std()) < _FLAT:
        return None
    content, box = content_of(survey)
    pixels = tuple(edge * survey.width for edge in box)
    part = survey.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=pixels)  # type: ignore[arg-type]
    whole = survey.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    everywhere = np.ones((_SIDE, _SIDE), dtype=bool)
    views = ((part, mask_of(content, box, _SIDE)), (whole, everywhere))
    return np.stack([_look(local_contrast(np.asarray(grey, dtype=np.float32), mask)) for grey, mask in views])


def _look(contrast: Floats) -> Looks:
    waves = cosines(_SIDE)
    found = (waves @ contrast.astype(np.float64) @ waves.T)[frequencies()]
    return np.asarray(rounded(found[None])[0])


def rounded(vectors: Doubles) -> Looks:
    """Returns vectors at the length of looks, in whole numbers.

    Args:
        vectors: [n, numbers].
    """
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return np.asarray(np.rint(vectors * (LENGTH / np.maximum(lengths, 1e-12))), dtype=np.int8)


def as_numbers(looks: Looks | None) -> list[int]:
    """Returns looks as Arrow keeps them: signed 64-bit numbers, none for a flat image."""
    return [] if looks is None else [int(number) for number in np.ascontiguousarray(looks).view("<i8").ravel()]


def survey_of(grey: Image.Image) -> Image.Image:
    """Shrinks a grey image to the square on which its content is looked for.

    Args:
        grey: Any grey image.
    """
    # BOX averages all pixels; a small image has none to average.
    how = Image.Resampling.BOX if min(grey.size) >= SURVEY_SIDE else Image.Resampling.BILINEAR
    return grey.resize((SURVEY_SIDE, SURVEY_SIDE), how)


def content_of(survey: Image.Image) -> tuple[Mask, Box]:
    """Says where an image holds content.

    Args:
        survey: From :func:`survey_of`.

    Returns:
        A mask of the survey's side, and the box around the content in shares of the image.
    """
    content = ~_surround(uniform_filter(np.asarray(survey, dtype=np.uint8), 3, mode="nearest"))
    content = maximum_filter(minimum_filter(content, _LINE, mode="nearest"), _LINE, mode="nearest")
    rows = np.flatnonzero(content.sum(axis=1) > _MIN_LINE * SURVEY_SIDE)
    columns = np.flatnonzero(content.sum(axis=0) > _MIN_LINE * SURVEY_SIDE)
    too_small = min(len(rows), len(columns)) < _MIN_EXTENT * SURVEY_SIDE or content.sum() < _MIN_CONTENT * content.size
    if too_small:
        return np.ones_like(content), (0.0, 0.0, 1.0, 1.0)
    left, top, right, bottom = (int(n) for n in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    return content, (left / SURVEY_SIDE, top / SURVEY_SIDE, right / SURVEY_SIDE, bottom / SURVEY_SIDE)


def _surround(levels: NDArray[np.uint8]) -> Mask:
    """What is dark and touches the edge, or a thin line along it."""
    reached = np.cumsum(np.bincount(levels.ravel(), minlength=256))
    darkest, brightest = (int(np.searchsorted(reached, share * levels.size)) for share in (0.01, 0.99))
    regions, num_regions = label(levels <= darkest + _DARK_SHARE * (brightest - darkest) + _DARK_LEVELS)
    is_surround = np.zeros(num_regions + 1, dtype=bool)
    for depth in range(_LINE - 1):
        for line in (regions[depth], regions[-1 - depth], regions[:, depth], regions[:, -1 - depth]):
            is_surround[line] = True
    is_surround[0] = False
    return np.asarray(is_surround[regions])


def mask_of(content: Mask, box: Box, side: int) -> Mask:
    """Returns where the content's box holds content, some pixels of its edge left out.

    Args:
        content: From :func:`content_of`.
        box: From there.
        side: Pixels a side asked for.
    """
    left, top, right, bottom = (edge * SURVEY_SIDE for edge in box)
    whole = Image.fromarray(content.astype(np.uint8) * 255)
    part = whole.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    return np.asarray(binary_erosion(np.asarray(part) > 127, iterations=-(-_EDGE * side // SIDE), border_value=1))


def blurred(grid: Floats, mask: Floats, width: int) -> Floats:
    """Means of squares around every pixel, over content only.

    Args:
        grid: Values.
        mask: 1 where they are content, 0 elsewhere.
        width: Pixels a side of a square.
    """
    share = uniform_filter(mask, width, mode="nearest")
    return np.asarray(uniform_filter(grid * mask, width, mode="nearest") / np.maximum(share, 1e-3) * mask)


def local_contrast(grey: Floats, mask: Mask) -> Floats:
    """Returns deviations from the local mean over the local spread, noise damped.

    Args:
        grey: Grey levels, at most SIDE pixels a side.
        mask: Where they are content.
    """
    inside = mask.astype(np.float32)
    window = _CONTRAST_WINDOW * len(grey) // SIDE | 1
    smooth = blurred(grey, inside, 3)
    middle = blurred(smooth, inside, window)
    variance = np.maximum(blurred(smooth * smooth, inside, window) - middle * middle, 0)
    return np.asarray((smooth - middle) / np.sqrt(variance + _NOISE_VARIANCE) * inside, dtype=np.float32)
