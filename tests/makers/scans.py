"""Pictures with the traits by which medical images mislead: one black circle, one volume, speckle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

Doubles = NDArray[np.float64]


def _plane(side: int) -> tuple[Doubles, Doubles]:
    axis = (2 * np.arange(side) + 1) / side - 1
    return axis[:, None] * np.ones(side), axis[None, :] * np.ones((side, 1))


def _image(levels: Doubles) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))


def fundus_image(number: int, *, size: tuple[int, int] = (320, 256)) -> Image.Image:
    """An eye's background in the black circle of one camera: disc at one side, vessels of its own, a dark macula."""
    rng = np.random.default_rng([7, number])
    side = 256
    down, across = _plane(side)
    levels = 120 + 25 * rng.uniform(-1, 1) * across + 12 * rng.uniform(-1, 1) * down
    disc = np.array([rng.uniform(-0.12, 0.12), rng.uniform(0.35, 0.5)])
    levels += 70 * np.exp(-((down - disc[0]) ** 2 + (across - disc[1]) ** 2) / 0.012)
    levels -= 30 * np.exp(-((down - rng.uniform(-0.1, 0.1)) ** 2 + (across + 0.1) ** 2) / 0.02)
    for _ in range(12):
        place, heading = disc.copy(), rng.uniform(0, 2 * np.pi)
        strength, turn = rng.uniform(15, 40), rng.normal(0, 0.05)
        for _ in range(60):
            place += 0.025 * np.array([np.sin(heading), np.cos(heading)])
            heading += turn + rng.normal(0, 0.12)
            near = np.rint((place + 1) * side / 2).astype(int)
            if (near < 1).any() or (near > side - 3).any():
                break
            levels[near[0] - 1 : near[0] + 2, near[1] - 1 : near[1] + 2] -= strength * 0.35
    levels = gaussian_filter(levels, 1.2) + gaussian_filter(rng.normal(0, 6, levels.shape), 1)
    circle = Image.new("L", size)
    round_part = np.where(down**2 + across**2 < 0.92, levels, 2.0)
    circle.paste(_image(round_part), ((size[0] - side) // 2, (size[1] - side) // 2))
    return circle


def head_slice(patient: int, height: float, *, side: int = 224) -> Image.Image:
    """A slice through a head: forms change slowly from slice to slice, the device's grid and frame stay."""
    rng = np.random.default_rng([11, patient])
    down, across = _plane(side)
    width, length = rng.uniform(0.6, 0.72), rng.uniform(0.75, 0.86)
    radius = np.sqrt((down / length) ** 2 + (across / width) ** 2)
    levels = np.where(radius < 1, 90.0, 0.0) + 110 * np.exp(-(((radius - 0.97) / 0.035) ** 2))
    for _ in range(70):
        place = rng.uniform(-0.62, 0.62, 2)
        middle, extent = rng.uniform(-1, 1), rng.uniform(0.04, 0.14)
        drift, strength = rng.normal(0, 0.12, 2), rng.uniform(-60, 60)
        seen = np.exp(-(((height - middle) / 0.25) ** 2))
        moved = place + drift * (height - middle)
        levels += strength * seen * np.exp(-((down - moved[0]) ** 2 + (across - moved[1]) ** 2) / extent**2)
    levels = np.where(radius < 1.05, levels, 0)
    slice_rng = np.random.default_rng([11, patient, round((height + 2) * 1000)])
    noise = np.where(radius < 1, gaussian_filter(slice_rng.normal(0, 7, levels.shape), 0.7), 0)
    return _image(gaussian_filter(levels, 0.8) + noise)


def speckle_image(number: int, *, size: tuple[int, int] = (300, 260)) -> Image.Image:
    """An ultrasound frame: layers and speckle that fade with depth."""
    rng = np.random.default_rng([13, number])
    height, width = size[1], size[0]
    layers = gaussian_filter(rng.normal(0, 1, (height, width)), (6, 40))
    blobs = gaussian_filter(rng.normal(0, 1, (height, width)), 14)
    speckle = gaussian_filter(rng.normal(0, 1, (height, width)), (1.0, 2.0))
    levels = 80 + 45 * layers / layers.std() * 0.5 + 40 * blobs / blobs.std() * 0.5 + 22 * speckle / speckle.std()
    return _image(levels * np.linspace(1.2, 0.5, height)[:, None])
