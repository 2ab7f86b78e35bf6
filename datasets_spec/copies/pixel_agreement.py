"""Whether two images show the same picture: one is laid over the other, and both are correlated window by window.

Windows, because a lesion, a vessel or an arrow counts where it is, whatever the contrast elsewhere; over content only,
because different eyes share their black circle. Forms alone agree between neighbouring slices and small pictures,
details alone wherever a device draws one grid; a copy has both in common with its original.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from datasets_spec.copies.picture import SIDE, Floats, Mask, Picture, blurred
from datasets_spec.copies.registration import MIN_COMMON, Placement, coarse_placement, refined, shrunk, warped

Doubles = NDArray[np.float64]
Relation = Literal["copy", "slice", "other"]

# From where on two images are one picture; chosen on half of the labelled pairs and planted copies (docs/leakage.md).
MIN_LOCAL: Final = 0.92
MIN_DETAIL: Final = 0.45
# What was sharpened or equalised has other forms and the same details.
MIN_LOCAL_OF_DETAILED: Final = 0.88
MIN_DETAIL_OF_DETAILED: Final = 0.87
# Of fewer than SIDE pixels, forms agree by chance: of phantom images that look alike none came above 0.977.
MIN_LOCAL_OF_SMALL: Final = 0.98
# Neighbouring slices and frames lie in one grid, no pixel moved, and differ where edits so small do not: what lies so
# must agree better to be a copy. No labelled slice came above it; below the least, slices are far from each other.
_STILL: Final = 1.5
_MIN_LOCAL_OF_STILL: Final = 0.976
_MIN_LOCAL_OF_SLICES: Final = 0.8
# Contrast in common of the best coarse placement, and once refined on half the pixels, below which a pair is given up.
# At 0.35 and 0.75 the first planted copies are lost. To refine the second best too found no more of them.
_HOPELESS: Final = 0.3
_HOPELESS_REFINED: Final = 0.65
# Of fewer than SIDE pixels, whose forms must agree better, a crowd of lookalikes is given up sooner: of 1,000 planted
# copies of phantoms 5 are lost, crops by a tenth.
_HOPELESS_OF_SMALL: Final = 0.55
_HOPELESS_REFINED_OF_SMALL: Final = 0.75
# Pixels a side of a window, and of the blurs that take noise away and leave details.
_WINDOW: Final = 13
_NOISE_BLUR: Final = 3
_DETAIL_BLUR: Final = 5
# Grey levels squared at which a window counts half: below is what JPEG and rounding add.
_FLAT_VARIANCE: Final = 9.0
_FLAT_DETAIL: Final = 1.0
_SMALLEST: Final = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How well two images agree once one is laid over the other.

    Args:
        local: Correlation of forms in windows, averaged over windows that have any.
        detail: The same of what a blur takes away.
        num_pixels: Pixels a side that both images have at least, of SIDE at most.
        moved: Pixels of SIDE by which the placement moves any corner, mirroring aside.
        same_size: Whether both images have the same width and height.
    """

    local: float = 0.0
    detail: float = 0.0
    num_pixels: int = SIDE
    moved: float = float(SIDE)
    same_size: bool = False

    @property
    def relation(self) -> Relation:
        """Whether both show the same picture, or neighbouring slices of one volume or frames of one film."""
        is_detailed = self.local >= MIN_LOCAL_OF_DETAILED and self.detail >= MIN_DETAIL_OF_DETAILED
        if self.num_pixels < SIDE:
            return "copy" if self.local >= MIN_LOCAL_OF_SMALL and self.detail >= MIN_DETAIL else "other"
        if self.same_size and self.moved < _STILL:
            if is_detailed or (self.local >= _MIN_LOCAL_OF_STILL and self.detail >= MIN_DETAIL):
                return "copy"
            return "slice" if self.local >= _MIN_LOCAL_OF_SLICES and self.detail >= MIN_DETAIL else "other"
        return "copy" if is_detailed or (self.local >= MIN_LOCAL and self.detail >= MIN_DETAIL) else "other"

    @property
    def is_copy(self) -> bool:
        """Whether both show the same picture."""
        return self.relation == "copy"


def compare(one: Picture, two: Picture, *, flips: bool = True) -> Agreement:
    """Lays two pictures over each other and says how well they agree.

    Args:
        one: A picture.
        two: Another; either may be a mirrored, turned, stretched or cropped copy of the other.
        flips: Whether mirrored copies count.
    """
    if _order(two) < _order(one):
        one, two = two, one
    is_small = _side(one, two) < SIDE
    likeness, start = coarse_placement(one, two, flips=flips)
    hopeless = _HOPELESS_OF_SMALL if is_small else _HOPELESS
    placement = refined(one, two, start, level=0) if likeness >= hopeless else None
    hopeless = _HOPELESS_REFINED_OF_SMALL if is_small else _HOPELESS_REFINED
    if placement is None or _contrast_in_common(one, two, placement) < hopeless:
        return Agreement()
    placement = refined(one, two, placement, level=1)
    return _agreement(one, two, placement) if placement is not None else Agreement()


def _order(picture: Picture) -> tuple[float, bytes]:
    """Which of two pictures the other is laid over must not depend on who asks: the sharper is, and loses by it."""
    grey = picture.grey.astype(np.float64)
    rough = float((np.diff(grey, axis=0) ** 2).sum() + (np.diff(grey, axis=1) ** 2).sum())
    spread = float(((grey * grey.size - grey.sum()) ** 2).sum())
    return (rough / spread if spread > 0 else 0.0, picture.grey.tobytes())


def _contrast_in_common(one: Picture, two: Picture, placement: Placement) -> float:
    half = SIDE // 2
    common = (shrunk(one.mask, half) > 0.5) & (warped(shrunk(two.mask, half), placement) > 0.5)
    if common.sum() < MIN_COMMON * half * half:
        return 0.0
    first = shrunk(one.contrast, half)[common].astype(np.float64)
    second = warped(shrunk(two.contrast, half), placement)[common].astype(np.float64)
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / scale if scale > 0 else 0.0


def _agreement(one: Picture, two: Picture, placement: Placement) -> Agreement:
    side = _side(one, two)
    common = one.mask & (warped(two.mask.astype(np.float32), placement) > 0.99)
    inside = shrunk(common, side) > 0.99
    if inside.sum() < MIN_COMMON * side * side:
        return Agreement()
    first, second = shrunk(one.grey, side), shrunk(warped(two.grey, placement), side)
    weights = inside.astype(np.float32)
    smooth = [blurred(grid, weights, _NOISE_BLUR) for grid in (first, second)]
    details = [grid * weights - blurred(grid, weights, _DETAIL_BLUR) for grid in (first, second)]
    turned = placement.matrix - np.diag(np.sign(placement.matrix.diagonal()))
    corner = np.abs(turned).sum(axis=1) + np.abs(placement.shift)
    return Agreement(
        local=_local_correlation(smooth[0], smooth[1], inside, _FLAT_VARIANCE),
        detail=_local_correlation(details[0], details[1], inside, _FLAT_DETAIL),
        num_pixels=side,
        moved=float(corner.max()) * SIDE / 2,
        same_size=one.size == two.size,
    )


def _side(one: Picture, two: Picture) -> int:
    """Pixels a side at which both are compared: no more than the smaller of them has."""
    least = min(
        extent * pixels for picture in (one, two) for extent, pixels in zip(_extent(picture), picture.size, strict=True)
    )
    side = SIDE
    while side > max(_SMALLEST, least + 1):
        side //= 2
    return side


def _extent(picture: Picture) -> tuple[float, float]:
    left, top, right, bottom = picture.box
    return right - left, bottom - top


def _local_correlation(one: Floats, two: Floats, inside: Mask, flat: float) -> float:
    """Correlation in the window around every pixel, averaged; windows with nothing in them count little."""
    weights = inside.astype(np.float32)

    def mean(grid: Floats) -> Doubles:
        return blurred(grid, weights, _WINDOW)[inside].astype(np.float64)

    first, second = one - one[inside].mean(), two - two[inside].mean()
    middle, other_middle = mean(first), mean(second)
    variance = np.maximum(mean(first * first) - middle * middle, 0)
    other_variance = np.maximum(mean(second * second) - other_middle * other_middle, 0)
    shared = mean(first * second) - middle * other_middle
    spread = np.sqrt(variance * other_variance)
    counts = spread / (spread + flat)
    total = float(counts.sum())
    return float((shared / np.maximum(spread, 1e-9) * counts).sum()) / total if total > 0 else 0.0
