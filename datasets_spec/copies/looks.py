"""What an image looks like in a few whole numbers, by which copies are looked for.

The lowest cosine frequencies of local contrast, once of the content without its surround and once of the whole frame,
because a strong edit can hide where the surround ends. They find candidates only; `pixel_agreement` decides.
Numbers are rounded to 8 bits here, so that everything computed from them later is whole and equal on every processor.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.copies.picture import Floats, content_of, local_contrast, mask_of, survey_of

if TYPE_CHECKING:
    from PIL import Image

Looks = NDArray[np.int8]
Doubles = NDArray[np.float64]

CONTENT: Final = 0
FRAME: Final = 1
# Lowest frequencies that are kept, of a picture in mirrored, turned or cropped copies too; with 60 or 120 of them fewer
# copies were nearest to their originals.
NUM_FREQUENCIES: Final = 80
LENGTH: Final = 127  # of the vector of one look: what int8 holds
_SIDE: Final = 48
_NUM_WAVES: Final = 11
_NUMBERS_PER_LOOK: Final = NUM_FREQUENCIES // 8
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
    from PIL import Image as Pillow

    survey = survey_of(image.convert("L"))
    if float(np.asarray(survey, dtype=np.float64).std()) < _FLAT:
        return None
    content, box = content_of(survey)
    pixels = tuple(edge * survey.width for edge in box)
    part = survey.resize((_SIDE, _SIDE), Pillow.Resampling.BILINEAR, box=pixels)  # type: ignore[arg-type]
    whole = survey.resize((_SIDE, _SIDE), Pillow.Resampling.BILINEAR)
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


def from_numbers(numbers: Any) -> Looks:
    """Returns looks from what Arrow kept.

    Args:
        numbers: Images by their numbers: [n, 20].

    Returns:
        Looks (n, 2, 80).
    """
    found = np.ascontiguousarray(np.asarray(numbers, dtype="<i8").reshape(-1, 2, _NUMBERS_PER_LOOK))
    return np.asarray(found.view(np.int8))
