"""Scene -> 8-bit grey image, with numpy only.

Coordinates run from -1 to 1. Grey values stay within 0..1 by construction (a test says how rarely they are
clipped), so that a stored 8-bit file and the array a backbone was trained on are the same picture.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets_spec.phantom.scenes import Blob
from datasets_spec.phantom.world import IMAGE_SIZE, LOOKS, NUM_ROWS

Grid = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]

_AXIS: Final = ((np.arange(IMAGE_SIZE) + 0.5) / IMAGE_SIZE * 2.0 - 1.0).astype(np.float32)
_X: Final[Grid] = np.broadcast_to(_AXIS[None, :], (IMAGE_SIZE, IMAGE_SIZE)).copy()
_Y: Final[Grid] = np.broadcast_to(_AXIS[:, None], (IMAGE_SIZE, IMAGE_SIZE)).copy()

CELL_SPACING: Final = 0.49  # cells nearly fill the image: a cell is a patch
JITTER: Final = 0.04  # of a blob and of the whole scene; more would push blobs into the next patch
RADIUS: Final = (0.115, 0.20)  # small, large
CONTRAST: Final = 0.27  # added or taken away by a blob; the organ adds at most 0.10
_EDGE: Final = 0.04  # softness of a silhouette's outline


def _inside(distance: Floats) -> Grid:
    """1 where the signed distance is positive, 0 where negative, soft between."""
    return np.asarray(0.5 + 0.5 * np.tanh(distance / (2 * _EDGE)), dtype=np.float32)


def _bump(distance: Floats) -> Grid:
    """Gaussian profile: 1 at distance 0."""
    return np.asarray(np.exp(-(distance**2)), dtype=np.float32)


def _ellipse(x: Grid, y: Grid, rx: float, ry: float) -> Grid:
    return np.asarray((1.0 - np.sqrt((x / rx) ** 2 + (y / ry) ** 2)) * min(rx, ry), dtype=np.float32)


def _silhouette(shape: str, x: Grid, y: Grid) -> Grid:
    """Shape of an organ: values about -1..1, small structures such as a rim or a vessel included."""
    if shape == "brain":
        skull = _ellipse(x, y, 0.9, 0.95)
        rim = _bump(skull / 0.05)
        return np.asarray(_inside(skull) * (0.5 - _bump(x / 0.05)) + 0.6 * rim, dtype=np.float32)
    if shape == "lung":
        return -_inside(_ellipse(x - 0.48, y, 0.38, 0.85)) - _inside(_ellipse(x + 0.48, y, 0.38, 0.85))
    if shape == "bone":
        return _inside(0.28 + 0.42 * y**2 - np.abs(x))
    if shape == "breast":
        return _inside(_ellipse(x, y - 0.75, 0.95, 1.5)) * (0.6 + 0.3 * y)
    if shape == "fundus":
        vessel = _bump((y - 0.35 * np.sin(2.6 * x)) / 0.06)
        spot = _bump(np.sqrt(((x - 0.45) ** 2 + y**2) / 0.03))
        disc = _inside(_ellipse(x, y, 0.93, 0.93))
        return np.asarray(disc * (0.45 - 0.9 * vessel) + 0.5 * spot, dtype=np.float32)
    if shape == "kidney":
        return _inside(_ellipse(x, y, 0.8, 0.92)) - 1.3 * _inside(_ellipse(x - 0.3, y, 0.3, 0.4))
    if shape == "square":
        return _inside(0.75 - np.maximum(np.abs(x), np.abs(y)))
    if shape == "triangle":
        return _inside(np.minimum(0.8 - y, 0.55 * (y + 0.95) - np.abs(x)))
    ring = np.maximum(np.abs(x), np.abs(y))
    return _inside(0.9 - ring) - _inside(0.55 - ring)  # frame


def _blob_layer(blobs: tuple[Blob, ...], x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    """Sum of signed blob profiles, each 1 at its peak."""
    layer = np.zeros_like(x)
    shifts = rng.uniform(-JITTER, JITTER, (len(blobs), 2)).astype(np.float32)
    half = (NUM_ROWS - 1) / 2
    for blob, (dx, dy) in zip(blobs, shifts, strict=True):
        row, column = divmod(blob.cell, NUM_ROWS)
        bx, by = x - ((column - half) * CELL_SPACING + dx), y - ((row - half) * CELL_SPACING + dy)
        radius = RADIUS[int(blob.large)]
        if blob.kind == 0:  # solid: a disc
            profile = _disc(np.sqrt(bx**2 + by**2), radius)
        elif blob.kind == 1:  # ring: a circle line with a clear centre
            profile = _bump((np.sqrt(bx**2 + by**2) - 0.82 * radius) / (0.30 * radius))
        else:  # bar: lying, as long as a disc is wide
            profile = _disc(np.sqrt(bx**2 + (3.2 * by) ** 2), 1.1 * radius)
        layer += profile if blob.bright else -profile
    return layer


def _disc(distance: Floats, radius: float) -> Grid:
    return np.asarray(np.exp(-((distance / radius) ** 4)), dtype=np.float32)


def _artefact(name: str, rng: np.random.Generator) -> Grid | float:
    """What a modality adds to every scene."""
    if name == "ramp":
        return 0.10 * _Y
    if name == "bias":
        a, b = rng.uniform(-0.07, 0.07, 2)
        stripes = 0.03 * np.sign(np.sin(_X * 40.0))
        return np.asarray(a * _X + b * _Y - 0.08 * (_X**2 + _Y**2 - 0.7) + stripes, dtype=np.float32)
    if name == "arcs":  # a curved probe's echoes; no dark corner that would hide lesions
        return np.asarray(0.05 * np.sin(np.sqrt(_X**2 + (_Y + 1.6) ** 2) * 22.0), dtype=np.float32)
    if name == "bands":
        return np.asarray(0.06 * np.sin(_Y * 16.0 + rng.uniform(0, 2 * np.pi)), dtype=np.float32)
    if name == "hair":
        angle, offset = rng.uniform(0.5, 1.1), rng.uniform(-0.6, 0.6)
        line = _bump((_X * np.sin(angle) - _Y * np.cos(angle) - offset) / 0.03)
        return np.asarray(0.10 * line - 0.06 * (_X**2 + _Y**2), dtype=np.float32)
    return float(rng.uniform(-0.06, 0.06)) if name == "photo" else 0.0


def render_float(blobs: tuple[Blob, ...], modality: str, shape: str, rng: np.random.Generator) -> Grid:
    """Render one scene before clipping.

    Args:
        blobs: the scene.
        modality: a key of ``LOOKS``.
        shape: an area, or one of the base-only shapes.
        rng: jitter, artefact and noise come from it.

    Returns:
        Array (48, 48) float32, nominally 0..1.
    """
    look = LOOKS[modality]
    gain = look.gain * (rng.uniform(0.7, 1.15) if look.artefact == "photo" else 1.0)
    dx, dy = rng.uniform(-JITTER, JITTER, 2).astype(np.float32)
    scale = np.float32(rng.uniform(0.96, 1.04))
    x, y = (_X - dx) / scale, (_Y - dy) / scale
    image = 0.10 * _silhouette(shape, x, y) + CONTRAST * _blob_layer(blobs, x, y, rng)
    image = 0.5 + gain * image + _artefact(look.artefact, rng)
    if look.speckle:
        image = image * (1.0 + look.speckle * rng.standard_normal(image.shape, dtype=np.float32))
    noisy = image + look.noise * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(noisy, dtype=np.float32)


def render(blobs: tuple[Blob, ...], modality: str, shape: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Render one scene as an 8-bit grey image (48, 48); arguments as in ``render_float``."""
    image = np.clip(render_float(blobs, modality, shape, rng), 0.0, 1.0)
    return np.asarray(np.rint(image * 255.0), dtype=np.uint8)


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """The image as PNG bytes, without time stamps, so that equal pixels give equal files."""
    buffer = io.BytesIO()
    Image.fromarray(image, mode="L").save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
