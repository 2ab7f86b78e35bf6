"""Looks as they would be of a mirrored, turned or cropped image, computed from the looks alone."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.copies.looks import NUM_FREQUENCIES, Looks, cosines, frequencies, rounded
from datasets_spec.copies.registration import ORIENTATIONS, Placement, warped

# Steps between which looks change little: with them, copies turned by 10 degrees or cropped by a tenth have a view in
# common with their originals. Without the parts at the middle of the edges, fewer crops were found (docs/leakage.md).
_TURNS_DEGREES: Final = (-8, -4, 4, 8)
_ZOOM: Final = 0.92
_SIDE: Final = 32
# Whole numbers in the place of shares, so that sums are exact.
_UNIT: Final = 1 << 10


def flipped(looks: Looks) -> list[Looks]:
    """Returns looks of the mirrored, the upside-down and the half-turned image.

    Args:
        looks: [n, 80].
    """
    down, across = frequencies()
    # A cosine wave of odd number changes its sign when it is mirrored.
    signs = [down_sign**down * across_sign**across for down_sign, across_sign in ORIENTATIONS[1:]]
    return [looks * sign.astype(np.int8) for sign in signs]


def turned_and_cropped(looks: Looks) -> list[Looks]:
    """Returns looks of the image turned by some degrees, and of nine parts with 92 % of its sides.

    Args:
        looks: [n, 80].
    """
    # Products of at most 80 * 127 * 1,024 are exact in float64, in whatever order they are added.
    return [rounded(looks.astype(np.float64) @ operator) for operator in _operators()]


@cache
def _operators() -> tuple[NDArray[np.float64], ...]:
    turns = np.deg2rad(_TURNS_DEGREES)
    placements = [
        Placement(matrix=np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]), shift=np.zeros(2))
        for turn in turns
    ]
    edge = 1 - _ZOOM
    shifts = [(down, across) for down in (-edge, 0.0, edge) for across in (-edge, 0.0, edge)]
    placements += [Placement(matrix=_ZOOM * np.eye(2), shift=np.array(shift)) for shift in shifts]
    return tuple(_operator(placement) for placement in placements)


def _operator(placement: Placement) -> NDArray[np.float64]:
    """What takes looks to those of an image as it lies under another: [80, 80]."""
    waves, (down, across) = cosines(_SIDE), frequencies()
    rows = []
    for number in range(NUM_FREQUENCIES):
        wave = np.outer(waves[down[number]], waves[across[number]]).astype(np.float32)
        moved = warped(wave, placement).astype(np.float64)
        rows.append((waves @ moved @ waves.T)[down, across] * (2 / _SIDE) ** 2)
    return np.rint(np.stack(rows) * _UNIT)
