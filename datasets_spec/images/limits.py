"""What an image may cost, and its refusal."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from datasets_spec.sample import QuarantineReason

# An 8-bit RGB image of 50 megapixels decodes to 150 MB: fundus photographs and pathology crops fit, bombs
# do not.
DEFAULT_MAX_IMAGE_MPX = 50.0
DEFAULT_MAX_IMAGE_BYTES = 64 * 1024 * 1024
# Seconds of processor time, not of the clock: a busy machine must not decide which rows are stored. 50 megapixels take
# under 2 s in every allowed format.
DEFAULT_MAX_DECODE_S = 5.0
# Detail of an image that may well be opened another time.
NO_MEMORY = "memory ran out while it was decoded"


class ImageRefused(Exception):
    """An image cannot be used; caught by the caller, which quarantines the row."""

    def __init__(self, reason: QuarantineReason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageLimits:
    """What an image may cost.

    Args:
        max_mpx: Megapixels, read from the header before anything is decoded.
        max_bytes: Bytes of the file.
        max_decode_s: Seconds of processor time that decoding may take.
    """

    max_mpx: float = DEFAULT_MAX_IMAGE_MPX
    max_bytes: int = DEFAULT_MAX_IMAGE_BYTES
    max_decode_s: float = DEFAULT_MAX_DECODE_S


@contextmanager
def quiet_warnings() -> Iterator[None]:
    """Keeps Pillow's warnings about single files out of the output of a job over many."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
