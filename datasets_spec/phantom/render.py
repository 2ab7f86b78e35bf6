"""Scene -> 8-bit grey image, with numpy only.

An image is a sum of ready-made layers: organ, artefact, one stamp a blob, noise. Layers are drawn once for every
whole-pixel shift that can occur, which makes a rendering a handful of additions. Grey values stay within 0..1 by
construction (a test says how rarely they are clipped), so that a stored 8-bit file and the array a backbone was
trained on are the same picture.
"""

from __future__ import annotations

import functools
import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets_spec.phantom.scenes import Blob
from datasets_spec.phantom.world import IMAGE_SIZE, LOOKS, NUM_ROWS, PATTERNS

Grid = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]

CONTRAST: Final = (0.17, 0.31)  # added or taken away by a blob: faint, strong
ORGAN_CONTRAST: Final = 0.09
JITTER: Final = 1  # pixels, of a blob in its cell and of the organ
NUM_VARIANTS: Final = 32  # of an artefact that differs between images
_PATCH: Final = IMAGE_SIZE // NUM_ROWS
_MARGIN: Final = 4  # pixels that a stamp may reach beyond its cell
_EDGE: Final = 0.04  # softness of a silhouette's outline
# Half length and half width of a blob in pixels: small, large.
_HALF_LENGTH: Final = (3.3, 5.2)
_HALF_WIDTH: Final = (1.7, 2.8)


def _axes(margin: int = 0) -> tuple[Grid, Grid]:
    """Coordinates -1..1 over the image, with a margin of some pixels beyond it: x and y."""
    axis = ((np.arange(-margin, IMAGE_SIZE + margin) + 0.5) / IMAGE_SIZE * 2.0 - 1.0).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


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


@functools.cache
def _organ(shape: str) -> Grid:
    """The organ with a margin, from which every shifted view is cut."""
    return np.asarray(ORGAN_CONTRAST * _silhouette(shape, *_axes(JITTER)), dtype=np.float32)


@functools.cache
def _stamp(pattern: int, large: bool, upright: bool, strong: bool) -> Grid:
    """One bright blob, as high as its contrast, on its cell and a margin around it."""
    axis = np.arange(-_MARGIN, _PATCH + _MARGIN, dtype=np.float32) + 0.5 - _PATCH / 2
    across, along = np.meshgrid(axis, axis)
    if not upright:
        across, along = along, across
    half_length, half_width = _HALF_LENGTH[large], _HALF_WIDTH[large]
    name = PATTERNS[pattern]
    if name == "twin":  # two round dots, one behind the other
        offset = half_length - 0.8 * half_width
        radius = 1.0 * half_width
        near, far = (np.sqrt(across**2 + (along + sign * offset) ** 2) / radius for sign in (-1, 1))
        profile = np.exp(-(near**4)) + np.exp(-(far**4))
        return np.asarray(CONTRAST[strong] * profile, dtype=np.float32)
    distance = np.sqrt((across / half_width) ** 2 + (along / half_length) ** 2)
    profile = np.exp(-(distance**4)) if name == "solid" else np.exp(-(((distance - 0.85) / 0.34) ** 2))
    return np.asarray(CONTRAST[strong] * profile, dtype=np.float32)


def _draw_artefact(name: str, rng: np.random.Generator) -> Grid:
    x, y = _axes()
    if name == "ramp":
        return np.asarray(0.10 * y, dtype=np.float32)
    if name == "bias":
        a, b = rng.uniform(-0.07, 0.07, 2)
        stripes = 0.03 * np.sign(np.sin(x * 40.0))
        return np.asarray(a * x + b * y - 0.08 * (x**2 + y**2 - 0.7) + stripes, dtype=np.float32)
    if name == "arcs":  # a curved probe's echoes; no dark corner that would hide lesions
        return np.asarray(0.05 * np.sin(np.sqrt(x**2 + (y + 1.6) ** 2) * 22.0), dtype=np.float32)
    if name == "bands":
        return np.asarray(0.06 * np.sin(y * 16.0 + rng.uniform(0, 2 * np.pi)), dtype=np.float32)
    if name == "hair":
        angle, offset = rng.uniform(0.5, 1.1), rng.uniform(-0.6, 0.6)
        line = _bump((x * np.sin(angle) - y * np.cos(angle) - offset) / 0.03)
        return np.asarray(0.10 * line - 0.06 * (x**2 + y**2), dtype=np.float32)
    return np.full_like(x, rng.uniform(-0.06, 0.06) if name == "photo" else 0.0)


@functools.cache
def _artefacts(name: str) -> Grid:
    """What a modality adds to its scenes, mid-grey included: [variants, 48, 48]."""
    rng = np.random.default_rng(0)
    return np.stack([0.5 + _draw_artefact(name, rng) for _ in range(NUM_VARIANTS)]).astype(np.float32)


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
    shifts = rng.integers(0, 2 * JITTER + 1, (len(blobs) + 1, 2)).tolist()
    dy, dx = shifts.pop()
    canvas = np.zeros((IMAGE_SIZE + 2 * _MARGIN + 2 * JITTER,) * 2, dtype=np.float32)
    width = _PATCH + 2 * _MARGIN
    for blob, (down, right) in zip(blobs, shifts, strict=True):
        row, column = divmod(blob.cell, NUM_ROWS)
        top, left = row * _PATCH + down, column * _PATCH + right
        stamp = _stamp(blob.pattern, blob.large, blob.upright, blob.strong)
        view = canvas[top : top + width, left : left + width]
        view += stamp if blob.bright else -stamp
    edge = _MARGIN + JITTER
    image = canvas[edge:-edge, edge:-edge].copy()
    image += _organ(shape)[dy : dy + IMAGE_SIZE, dx : dx + IMAGE_SIZE]
    image *= np.float32(look.gain)
    variant, strength = rng.random(2).tolist()
    if look.artefact == "photo":
        image *= np.float32(0.8 + 0.4 * strength)
    image += _artefacts(look.artefact)[int(variant * NUM_VARIANTS)]
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    if look.speckle:
        noise *= np.float32(look.speckle) * image + np.float32(look.noise)
    else:
        noise *= np.float32(look.noise)
    image += noise
    return np.asarray(image, dtype=np.float32)


def render(blobs: tuple[Blob, ...], modality: str, shape: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Render one scene as an 8-bit grey image (48, 48); arguments as in ``render_float``."""
    image = render_float(blobs, modality, shape, rng)
    image *= np.float32(255.0)
    image += np.float32(0.5)
    return np.asarray(np.clip(image, 0.0, 255.0, out=image), dtype=np.uint8)


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """The image as PNG bytes, without time stamps, so that equal pixels give equal files."""
    buffer = io.BytesIO()
    Image.fromarray(image, mode="L").save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
