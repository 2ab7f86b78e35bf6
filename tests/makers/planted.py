"""Distinct images of two kinds, and the ways in which a copy of one differs from it."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from datasets_spec.phantom.questions import SINGLE, all_keys, make_sample

Edit = Callable[[Image.Image, np.random.Generator], Image.Image]
_SINGLE_KEYS = [key for key in all_keys() if key.ability == SINGLE]


def phantom_image(number: int, *, num_keys: int = len(_SINGLE_KEYS)) -> Image.Image:
    """A phantom image, 48 x 48; images 0, num_keys, 2 * num_keys ... have one key."""
    key = _SINGLE_KEYS[number % num_keys]
    sample = make_sample(key, seed=0, split="train", index=number // num_keys)
    return Image.fromarray(sample.images[0])


def photo_like_image(number: int, *, size: int = 192) -> Image.Image:
    """A picture with the statistics of photographs: noise of 1/f amplitudes, shapes with edges, some blur."""
    rng = np.random.default_rng(number)
    axis = np.fft.fftfreq(size)
    frequency = np.hypot(axis[:, None], axis[None, :])
    frequency[0, 0] = 1.0
    wave = rng.standard_normal((size, size)) + 1j * rng.standard_normal((size, size))
    texture = np.real(np.fft.ifft2(wave / frequency ** rng.uniform(1.0, 1.6)))
    grey = np.clip(128 + 45 * (texture - texture.mean()) / texture.std(), 0, 255).astype(np.uint8)
    image = Image.fromarray(grey).convert("RGB")
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(int(rng.integers(3, 9))):
        x, y, width, height = (int(v) for v in (*rng.integers(0, size, 2), *rng.integers(size // 12, size // 2, 2)))
        colour = (*(int(v) for v in rng.integers(0, 255, 3)), int(rng.integers(90, 220)))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape([x, y, x + width, y + height], fill=colour)
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.5))))


def _jpeg(quality: int) -> Edit:
    def edit(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        copy = Image.open(io.BytesIO(buffer.getvalue()))
        copy.load()
        return copy

    return edit


def _scaled(factor: float) -> Edit:
    def edit(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        size = (round(image.width * factor), round(image.height * factor))
        return image.resize(size, Image.Resampling.BICUBIC)

    return edit


def _cropped(share: float) -> Edit:
    """Leaves away a share of width and height, divided between the sides at random."""

    def edit(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
        left = int(rng.integers(0, image.width - width + 1))
        top = int(rng.integers(0, image.height - height + 1))
        return image.crop((left, top, left + width, top + height))

    return edit


def _stretched(factor: float) -> Edit:
    """Makes an image wider and crops it to its size again."""

    def edit(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        wide = image.resize((round(image.width * factor), image.height), Image.Resampling.BICUBIC)
        left = int(rng.integers(0, wide.width - image.width + 1))
        return wide.crop((left, 0, left + image.width, image.height))

    return edit


def _turned(degrees: float) -> Edit:
    return lambda image, rng: image.rotate(degrees, Image.Resampling.BICUBIC)


def _enhanced(kind: type[ImageEnhance.Brightness] | type[ImageEnhance.Contrast], factor: float) -> Edit:
    return lambda image, rng: kind(image).enhance(factor)


MILD: dict[str, Edit] = {
    "JPEG 90": _jpeg(90),
    "JPEG 75": _jpeg(75),
    "half the size": _scaled(0.5),
    "twice the size": _scaled(2.0),
    "crop 5 %": _cropped(0.05),
    "darker 10 %": _enhanced(ImageEnhance.Brightness, 0.9),
    "brighter 10 %": _enhanced(ImageEnhance.Brightness, 1.1),
    "contrast -20 %": _enhanced(ImageEnhance.Contrast, 0.8),
    "contrast +20 %": _enhanced(ImageEnhance.Contrast, 1.2),
}
STRONG: dict[str, Edit] = {
    "JPEG 50": _jpeg(50),
    "JPEG 30": _jpeg(30),
    "crop 10 %": _cropped(0.1),
    "turned 2 degrees": _turned(2),
    "turned 10 degrees": _turned(-10),
    "stretched 10 %": _stretched(1.1),
    "equalised": lambda image, rng: ImageOps.equalize(image),
    "brighter 30 %": _enhanced(ImageEnhance.Brightness, 1.3),
}
FLIP: Edit = lambda image, rng: ImageOps.mirror(image)  # noqa: E731
