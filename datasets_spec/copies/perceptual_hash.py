"""What an image looks like in a few numbers: hashes that change little when it is saved, scaled or cropped again.

A perceptual hash is the signs of an image's lowest cosine frequencies against their median (pHash). Two of them are
taken, of the 64 lowest and of the next 64 frequencies, and also of five views of 95 % of the image, so that a cropped
copy has a view in common with its original. They find candidates only; `pixel_agreement` decides.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Floats = NDArray[np.float32]
Looks = NDArray[np.uint64]

# Of whole image, five views, mirrored image; each with the hash of low and of higher frequencies.
NUM_VIEWS: Final = 7
WHOLE: Final = 0
MIRRORED: Final = 6
# A mild crop (docs/leakage.md); with it, views of 95 % in the middle and the corners lie within 1.25 % of any crop.
VIEW_CROP: Final = 0.05
_THUMBNAIL: Final = 64
_GRID: Final = 32
_NUM_FREQUENCIES: Final = 12
_BITS: Final = 64
# Grey levels; below it an image is a surface whose hash is noise. Copies of it are found by their pixels.
_FLAT: Final = 2.0


def _resampling(start: float, end: float) -> NDArray[np.float64]:
    """Weights that shrink the part start..end of an axis of the thumbnail to the grid: [grid, thumbnail]."""
    edges = (start + (end - start) * np.arange(_GRID + 1) / _GRID) * _THUMBNAIL
    pixels = np.arange(_THUMBNAIL)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.clip(overlap, 0, None) / (edges[1:, None] - edges[:-1, None]))


@cache
def _operators() -> tuple[tuple[Floats, Floats], ...]:
    """For every view, what takes rows and columns of the thumbnail to frequencies: [12, 64] each."""
    place = 2 * np.arange(_GRID) + 1
    cosines = np.cos(np.pi * place[None, :] * np.arange(_NUM_FREQUENCIES)[:, None] / (2 * _GRID))
    spans = {
        "whole": (0.0, 1.0),
        "start": (0.0, 1 - VIEW_CROP),
        "middle": (VIEW_CROP / 2, 1 - VIEW_CROP / 2),
        "end": (VIEW_CROP, 1.0),
    }
    axis = {name: (cosines @ _resampling(*span)).astype(np.float32) for name, span in spans.items()}
    mirrored = axis["whole"][:, ::-1].copy()
    views = [("middle", "middle"), ("start", "start"), ("start", "end"), ("end", "start"), ("end", "end")]
    whole = axis["whole"]
    return ((whole, whole), *((axis[down], axis[across]) for down, across in views), (whole, mirrored))


@cache
def _frequencies() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of the 64 lowest frequencies, the mean left out, and of the next 64."""
    places = [(u, v) for u in range(_NUM_FREQUENCIES) for v in range(_NUM_FREQUENCIES) if u or v]
    places.sort(key=lambda place: (place[0] ** 2 + place[1] ** 2, place))
    flat = np.array([u * _NUM_FREQUENCIES + v for u, v in places], dtype=np.intp)
    return flat[:_BITS], flat[_BITS : 2 * _BITS]


def looks_of(image: Image.Image) -> Looks | None:
    """Returns what an image looks like.

    Args:
        image: Any upright image.

    Returns:
        Hashes (7, 2) of its views, or None for an image of one grey.
    """
    from PIL import Image as Pillow

    grey = image.convert("L")
    # BOX averages all pixels; a small image has none to average.
    how = Pillow.Resampling.BOX if min(grey.size) >= _THUMBNAIL else Pillow.Resampling.BILINEAR
    thumbnail = np.asarray(grey.resize((_THUMBNAIL, _THUMBNAIL), how), dtype=np.float32)
    if float(thumbnail.std()) < _FLAT:
        return None
    found = np.stack([(down @ thumbnail @ across.T).ravel() for down, across in _operators()])
    chosen = found[:, np.stack(_frequencies())]  # [views, 2, 64]
    # np.median of 14 rows costs more than everything else here.
    middle = np.partition(chosen, (_BITS // 2 - 1, _BITS // 2), axis=-1)[..., _BITS // 2 - 1 : _BITS // 2 + 1]
    bits = chosen > middle.mean(axis=-1, keepdims=True)
    return np.packbits(bits, axis=-1).view(">u8")[..., 0].astype(np.uint64)


def as_numbers(looks: Looks | None) -> list[int]:
    """Returns looks as Arrow keeps them: signed 64-bit numbers, none for a flat image."""
    return [] if looks is None else [int(number) for number in looks.ravel().view(np.int64)]


def from_numbers(numbers: Any) -> Looks:
    """Returns looks from what Arrow kept.

    Args:
        numbers: Images by their numbers: [n, 14].

    Returns:
        Looks (n, 7, 2).
    """
    return np.asarray(numbers, dtype=np.int64).reshape(-1, NUM_VIEWS, 2).view(np.uint64)
