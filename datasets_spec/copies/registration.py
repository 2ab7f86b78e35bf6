"""Lays one picture over another: turned, mirrored, stretched, shifted or cropped, until they agree best.

Coarse placements are tried all at once by their cross-correlation (Fourier transforms of 32 x 32 pixels); the best are
refined by Gauss-Newton steps over all affine placements (inverse compositional alignment with gain and bias: Baker and
Matthews 2004, doi 10.1023/B:VISI.0000011205.11775.fd). Sums are float64, and equal within a millionth is a tie that the
first wins: no choice hangs on how a processor rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.copies.picture import SIDE, Floats, Mask, Picture

Doubles = NDArray[np.float64]

# Placements of a picture on itself: as it is, mirrored, upside down, turned by half.
ORIENTATIONS: Final = ((1, 1), (1, -1), (-1, 1), (-1, -1))
# Between these steps the refinement finds by itself; rotations to 10 degrees and stretches to 10 % lie within.
_TURNS_DEGREES: Final = (0, -4, 4, -8, 8)
_SCALES: Final = (1.0, 0.92, 1.08)
_COARSE: Final = 32
_PADDED: Final = 40  # wide enough that shifts to 8 pixels do not wrap around
_MAX_SHIFT: Final = 6
_TIE: Final = 1e-6
# Sides at which placements are refined, and steps there at most; twice as many found no more planted copies.
_LEVELS: Final = ((48, 6), (SIDE, 4))
# A step that moves no corner by this many pixels is the last.
_STILL: Final = 0.02
# Less in common than this share of the grid cannot be judged.
MIN_COMMON: Final = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where the pixels of one picture lie in another.

    Args:
        matrix: [2, 2], from places (down, across) around the middle of the one to those of the other.
        shift: Down and across, in halves of a side, as all places.
    """

    matrix: Doubles
    shift: Doubles


def warped(grid: Floats, placement: Placement) -> Floats:
    """Returns a square grid as it lies under another; 0 where it does not reach.

    Args:
        grid: Values, any side.
        placement: From the other grid to this one.
    """
    from PIL import Image as Pillow

    side = len(grid)
    (a, b), (c, d) = placement.matrix
    down, across = placement.shift * side / 2
    middle = side / 2
    # Pillow asks for places across and down, of pixel corners.
    numbers = (
        *(d, c, middle - d * middle - c * middle + across),
        *(b, a, middle - b * middle - a * middle + down),
    )
    image = Pillow.fromarray(np.ascontiguousarray(grid, dtype=np.float32))
    moved = image.transform((side, side), Pillow.Transform.AFFINE, numbers, Pillow.Resampling.BILINEAR)
    return np.asarray(moved, dtype=np.float32)


def coarse_placement(one: Picture, two: Picture, *, flips: bool) -> tuple[float, Placement]:
    """Tries coarse placements of one picture in another.

    Args:
        one: A picture.
        two: Another.
        flips: Whether mirrored ones are tried too.

    Returns:
        Correlation and placement of the best.
    """
    orientations = ORIENTATIONS if flips else ORIENTATIONS[:1]
    small_one, small_two = shrunk(one.contrast, _COARSE), shrunk(two.contrast, _COARSE)
    found = _by_correlation(small_one, small_two, orientations)
    for orientation in orientations if one.box != two.box else ():  # of one box, they are among those above
        placement = _of_whole_frames(one, two, orientation)
        found.append((_correlation(small_one, warped(small_two, placement)), placement))
    best = max(score for score, _ in found)
    return next((score, placement) for score, placement in found if score >= best - _TIE)


def _by_correlation(
    one: Floats, two: Floats, orientations: tuple[tuple[int, int], ...]
) -> list[tuple[float, Placement]]:
    from scipy.fft import irfft2, rfft2

    moved = (_turning_and_scaling() @ two.astype(np.float64).ravel()).reshape(-1, _COARSE, _COARSE)
    moved -= moved.mean(axis=(1, 2), keepdims=True)
    asked = np.stack([one[::down, ::across] for down, across in orientations]).astype(np.float64)
    asked -= asked.mean(axis=(1, 2), keepdims=True)
    padded = (_PADDED, _PADDED)
    product = np.conj(rfft2(asked, padded))[:, None] * rfft2(moved, padded)[None]
    norms = np.sqrt((asked**2).sum(axis=(1, 2)))[:, None] * np.sqrt((moved**2).sum(axis=(1, 2)))[None]
    shifts = np.r_[0 : _MAX_SHIFT + 1, -_MAX_SHIFT:0]
    overlaps = (
        irfft2(product, padded)[:, :, shifts[:, None], shifts[None, :]] / np.maximum(norms, 1e-9)[..., None, None]
    )
    flat = overlaps.reshape(*norms.shape, -1)
    places = (flat >= flat.max(axis=-1, keepdims=True) - _TIE).argmax(axis=-1)
    found = []
    for turn, orientation in enumerate(orientations):
        for number, placement in enumerate(_turned_and_scaled()):
            place = int(places[turn, number])
            shift = shifts[[place // len(shifts), place % len(shifts)]] * 2 / _COARSE
            # The other was moved first and shifted then: its places are those of the shift, moved.
            matrix = placement.matrix @ np.diag(orientation).astype(np.float64)
            found.append((float(flat[turn, number, place]), Placement(matrix=matrix, shift=placement.matrix @ shift)))
    return found


@cache
def _turned_and_scaled() -> tuple[Placement, ...]:
    turns = np.deg2rad(_TURNS_DEGREES)
    return tuple(
        Placement(
            matrix=scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]), shift=np.zeros(2)
        )
        for turn in turns
        for scale in _SCALES
    )


@cache
def _turning_and_scaling() -> Any:
    """What turns and scales a flat coarse grid to all placements at once, as :func:`warped` does one by one.

    Bilinear, and 0 for what lies outside; a sparse matrix, because the placements are always the same.
    """
    from scipy.sparse import csr_array

    side, count = _COARSE, _COARSE * _COARSE
    places = 2 * (np.arange(side) + 0.5) / side - 1
    grid = np.stack(np.meshgrid(places, places, indexing="ij")).reshape(2, -1)  # down and across
    rows, columns, weights = [], [], []
    for number, placement in enumerate(_turned_and_scaled()):
        asked = ((placement.matrix @ grid + placement.shift[:, None]) + 1) * side / 2
        is_inside = ((asked >= 0) & (asked < side)).all(axis=0)
        corner = np.floor(asked - 0.5)
        share = asked - 0.5 - corner
        for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
            near = np.clip(corner + np.array([[down], [across]]), 0, side - 1).astype(np.intp)
            weight = np.abs(1 - down - share[0]) * np.abs(1 - across - share[1])
            rows.append(number * count + np.flatnonzero(is_inside))
            columns.append((near[0] * side + near[1])[is_inside])
            weights.append(weight[is_inside])
    shape = (len(_turned_and_scaled()) * count, count)
    return csr_array((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=shape)


def _of_whole_frames(one: Picture, two: Picture, orientation: tuple[int, int]) -> Placement:
    """Where one box lies in another when both images fill one frame: an equalised surround may not be seen."""
    boxes = []
    for picture in (one, two):
        left, top, right, bottom = picture.box
        boxes.append((np.array([top + bottom - 1, left + right - 1]), np.array([bottom - top, right - left])))
    (middle_one, extent_one), (middle_two, extent_two) = boxes
    signs = np.array(orientation, dtype=np.float64)
    return Placement(
        matrix=np.diag(signs * extent_one / extent_two), shift=(signs * middle_one - middle_two) / extent_two
    )


def refined(one: Picture, two: Picture, start: Placement, level: int) -> Placement | None:
    """Refines a placement.

    Args:
        one: A picture.
        two: Another.
        start: Where to begin.
        level: 0 on half the pixels, 1 on all.

    Returns:
        The placement reached; None where too little is in common to go by.
    """
    side, num_steps = _LEVELS[level]
    template = shrunk(one.contrast, side).astype(np.float64)
    inside = shrunk(one.mask, side) > 0.5
    other, other_mask = shrunk(two.contrast, side), shrunk(two.mask, side)
    slopes = _slopes(template)
    placement = start
    for _ in range(num_steps):
        moved = warped(other, placement).astype(np.float64)
        common = inside & (warped(other_mask, placement) > 0.5)
        if common.sum() < MIN_COMMON * side * side:
            return None
        step = _step(template[common], moved[common], slopes[:, common])
        if step is None:
            return None
        change = np.eye(2) + step[:4].reshape(2, 2)
        matrix = placement.matrix @ np.linalg.inv(change)
        placement = Placement(matrix=matrix, shift=placement.shift - matrix @ step[4:])
        if float(np.abs(step).max()) * side / 2 < _STILL:
            break
    return placement


def _slopes(template: Doubles) -> Doubles:
    """How the template changes with each of the six numbers of a placement: [6, side, side]."""
    side = len(template)
    down, across = np.gradient(template)
    place = (2 * np.arange(side) + 1) / side - 1
    half = side / 2
    return np.stack(
        [
            *(down * place[:, None] * half, down * place[None, :] * half),
            *(across * place[:, None] * half, across * place[None, :] * half),
            *(down * half, across * half),
        ]
    )


def _step(template: Doubles, moved: Doubles, slopes: Doubles) -> Doubles | None:
    """The change of the template's places that explains best how the moved picture differs, beside gain and bias."""
    known = np.concatenate([-slopes, moved[None], np.ones((1, len(moved)))])
    normal = known @ known.T
    # A picture of parallel lines tells nothing of shifts along them: what is not seen does not move.
    normal[np.diag_indices(8)] += 1e-3 * normal.diagonal() + 1e-9
    found: Doubles = np.linalg.solve(normal, known @ template)[:6]
    return found if float(np.abs(found).max()) < 0.5 else None


def shrunk(grid: Floats | Mask, side: int) -> Floats:
    """Returns means of squares of pixels.

    Args:
        grid: Values or a mask, a multiple of the side asked for.
        side: Pixels a side asked for.
    """
    factor = len(grid) // side
    if factor == 1:
        return np.asarray(grid, dtype=np.float32)
    return np.asarray(grid.reshape(side, factor, side, factor).mean(axis=(1, 3)), dtype=np.float32)


def _correlation(one: Floats, two: Floats) -> float:
    first, second = (grid.astype(np.float64) - grid.mean(dtype=np.float64) for grid in (one, two))
    scale = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / scale if scale > 0 else 0.0
