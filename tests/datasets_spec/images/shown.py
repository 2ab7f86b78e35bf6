"""What an encoded image shows, in one hash; and the limits of these tests."""

from __future__ import annotations

from datasets_spec.images.decode import decode, hash_of
from datasets_spec.images.limits import ImageLimits

LIMITS = ImageLimits(max_mpx=1.0, max_bytes=1_000_000)


def pixel_hash(data: bytes, limits: ImageLimits) -> str:
    """The hash of the upright 8-bit RGB picture; ImageRefused where there is none."""
    return hash_of(decode(data, limits))
