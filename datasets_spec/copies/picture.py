"""What is compared of an image: its grey content on a square grid, without the flat surround, and its local contrast.

Different eyes share one black circle, different heads one black frame: what a device draws around a picture is left out
of everything that is compared (docs/leakage.md), and some pixels of the content's edge with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]

# Pixels a side that are compared: with 64 neighbouring slices look like copies, more cost time and told nothing more.
SIDE: Final = 96
# The largest side that is kept of an image: four pixels for each that is compared.
MAX_SIDE: Final = 384
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


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image made ready to be compared.

    Args:
        grey: Grey levels of the content's box: [SIDE, SIDE].
        mask: Where the box holds content.
        box: The content's box as left, top, right, bottom, in shares of the image.
        size: Width and height of the image in pixels.
    """

    grey: Floats
    mask: Mask
    box: Box
    size: tuple[int, int]

    @cached_property
    def contrast(self) -> Floats:
        """Deviations from the local mean over the local spread; brightness and contrast cancel out."""
        return local_contrast(self.grey, self.mask)


def picture_of(image: Image.Image) -> Picture:
    """Makes an image ready to be compared.

    Args:
        image: Any upright image.
    """
    from PIL import Image as Pillow

    grey = image.convert("L")
    grey.thumbnail((MAX_SIDE, MAX_SIDE))
    content, box = content_of(survey_of(grey))
    pixels = (box[0] * grey.width, box[1] * grey.height, box[2] * grey.width, box[3] * grey.height)
    return Picture(
        grey=np.asarray(grey.resize((SIDE, SIDE), Pillow.Resampling.BILINEAR, box=pixels), dtype=np.float32),
        mask=mask_of(content, box, SIDE),
        box=box,
        size=image.size,
    )


def survey_of(grey: Image.Image) -> Image.Image:
    """Shrinks a grey image to the square on which its content is looked for.

    Args:
        grey: Any grey image.
    """
    from PIL import Image as Pillow

    # BOX averages all pixels; a small image has none to average.
    how = Pillow.Resampling.BOX if min(grey.size) >= SURVEY_SIDE else Pillow.Resampling.BILINEAR
    return grey.resize((SURVEY_SIDE, SURVEY_SIDE), how)


def content_of(survey: Image.Image) -> tuple[Mask, Box]:
    """Says where an image holds content.

    Args:
        survey: From :func:`survey_of`.

    Returns:
        A mask of the survey's side, and the box around the content in shares of the image.
    """
    from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

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
    from scipy.ndimage import label

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
    from PIL import Image as Pillow
    from scipy.ndimage import binary_erosion

    left, top, right, bottom = (edge * SURVEY_SIDE for edge in box)
    whole = Pillow.fromarray(content.astype(np.uint8) * 255)
    part = whole.resize((side, side), Pillow.Resampling.BILINEAR, box=(left, top, right, bottom))
    return np.asarray(binary_erosion(np.asarray(part) > 127, iterations=-(-_EDGE * side // SIDE), border_value=1))


def blurred(grid: Floats, mask: Floats, width: int) -> Floats:
    """Means of squares around every pixel, over content only.

    Args:
        grid: Values.
        mask: 1 where they are content, 0 elsewhere.
        width: Pixels a side of a square.
    """
    from scipy.ndimage import uniform_filter

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
