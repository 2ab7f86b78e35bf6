"""How large images reach the model: by the limits of a study file, or by a default for families of any size.

What a family can be told is read from its image processor, not from its name.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

from datasets_spec.errors import UserError

# Families that take images as they are large ship limits of up to 12.8 million pixels (Qwen2.5-VL: 16,384 tokens). This
# is what Qwen's model cards give as a balance of speed and detail, 1,280 tokens of 28 x 28 pixels.
DEFAULT_MAX_PIXELS = 1280 * 28 * 28


def limit_images(processor: Any, *, min_pixels: int | None, max_pixels: int | None) -> None:
    """Set a processor's limits of pixels.

    Args:
        processor: of the backbone.
        min_pixels: smaller images are scaled up to it; None leaves the family's own.
        max_pixels: larger images are scaled down to it. None: `DEFAULT_MAX_PIXELS` or less where a family takes
            images of any size, else the family's own.

    Raises:
        UserError: this family cannot be told such a limit.
    """
    images = processor.image_processor
    if _takes_any_size(images):
        most = max_pixels or min(int(images.size["longest_edge"]), DEFAULT_MAX_PIXELS)
        least = min_pixels or min(int(images.size["shortest_edge"]), most)
        if least > most:
            raise UserError(f"backbone.min_pixels: {least} is more than the most, {most}", hint="raise max_pixels")
        images.size = {**_plain(images.size), "shortest_edge": least, "longest_edge": most}
    elif min_pixels is not None:
        raise UserError(
            f"backbone.min_pixels: {type(images).__name__} scales all images to its own size",
            hint="leave min_pixels out for this backbone",
        )
    elif max_pixels is not None and getattr(images, "do_image_splitting", False):
        tile = int(images.max_image_size["longest_edge"])
        if max_pixels < tile**2:
            raise UserError(
                f"backbone.max_pixels: {max_pixels} is less than one tile of {tile} x {tile} pixels of this backbone",
                hint=f"give at least {tile**2}",
            )
        images.size = {"longest_edge": tile * isqrt(max_pixels // tile**2)}
    elif max_pixels is not None:
        raise UserError(
            f"backbone.max_pixels: {type(images).__name__} scales all images to its own size",
            hint="leave max_pixels out for this backbone: its images all cost the same number of tokens",
        )


def limited_size(processor: Any, *, max_pixels: int | None) -> dict[str, int] | None:
    """Return the `size` of an image processor after `limit_images`, for others that shall scale images alike.

    Args:
        processor: of the backbone, limited.
        max_pixels: that it was limited to.

    Returns:
        The least and the most pixels of an image (`shortest_edge`, `longest_edge`) in families that take images of any
        size, `longest_edge` in px in families of tiles; None where nothing was limited.
    """
    images = processor.image_processor
    return _plain(images.size) if _takes_any_size(images) or max_pixels is not None else None


def _takes_any_size(images: Any) -> bool:
    """Whether `size` holds the least and the most pixels of an image, as in Qwen2-VL and those after it."""
    known = getattr(getattr(images, "valid_kwargs", None), "__annotations__", {})
    has_limits = {"min_pixels", "max_pixels"} <= set(known)
    return has_limits and {"shortest_edge", "longest_edge"} <= set(_plain(images.size))


def _plain(size: Any) -> dict[str, int]:
    return {name: int(value) for name, value in dict(size).items() if value is not None}
