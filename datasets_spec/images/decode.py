"""From the bytes of an image file to 8-bit RGB, and the hash of what it shows."""

from __future__ import annotations

import hashlib
import struct
import time
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

from datasets_spec.images.dicom import decode_dicom, is_dicom
from datasets_spec.images.limits import NO_MEMORY, ImageLimits, ImageRefused, quiet_warnings
from datasets_spec.sample import QuarantineReason

if TYPE_CHECKING:
    from PIL import Image

# Formats of the published data sets; every other Pillow plugin (EPS, PSD, ...) stays shut.
ALLOWED_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
# A progressive JPEG has some ten scans, each of which passes over all pixels; thousands fit into a few kilobytes.
MAX_JPEG_SCANS = 100
_JPEG_START, _JPEG_SCAN = b"\xff\xd8", b"\xff\xda"
# Of EXIF blocks, PNG's text profiles and XMP packets.
_ORIENTATION_MARKS = (b"Exif", b"eXIf", b"EXIF", b"exif", b"xmp", b"XMP", b"Orientation")
# Markers that a length follows (ISO/IEC 10918-1, table B.1); fill bytes and restarts have none.
_WITH_LENGTH = frozenset((*range(0xC0, 0xD0), *range(0xDA, 0xFF)))
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Modes whose values do not fit 8 bits; Pillow clips them to white when asked for RGB.
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)


class _Metered(BytesIO):
    """Encoded bytes that stop being readable once decoding has cost too much."""

    def __init__(self, data: bytes, max_decode_s: float) -> None:
        super().__init__(data)
        self._deadline = time.thread_time() + max_decode_s
        self._max_decode_s = max_decode_s

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._deadline:
            detail = f"not decoded after {self._max_decode_s:g} s"
            raise ImageRefused(QuarantineReason.image_too_large, detail)
        return super().read(size)


def hash_of(image: Image.Image) -> str:
    """Hashes what an image shows: equal for a PNG and a BMP of one picture.

    Args:
        image: An upright RGB image.

    Returns:
        SHA-256 of size and 8-bit RGB pixels.
    """
    width, height = image.size
    digest = hashlib.sha256(f"RGB {width}x{height}\n".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def may_be_turned(data: bytes) -> bool:
    """Says whether an image file holds anything from which an orientation could be read; to ask Pillow costs much more.

    Args:
        data: Encoded image.
    """
    is_tiff = data[:4] in _TIFF_STARTS  # its header is what EXIF blocks are made of
    searched = _before_first_scan(data) if data.startswith(_JPEG_START) else data
    return is_tiff or any(mark in searched for mark in _ORIENTATION_MARKS)


def _before_first_scan(data: bytes) -> bytes:
    """Returns what Pillow reads of a JPEG before it decodes: an orientation stands there, and a scan has most bytes."""
    position = len(_JPEG_START)
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == _JPEG_SCAN[1]:
            return data[:position]
        if marker not in _WITH_LENGTH:
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return data


def decode(data: bytes, limits: ImageLimits) -> Image.Image:
    """Decodes an image completely.

    Args:
        data: Encoded image.
        limits: What it may cost.

    Returns:
        The image in 8-bit RGB, turned as its EXIF tag says.

    Raises:
        ImageRefused: It is no image of an allowed kind, too large, or does not decode to its end.
    """
    if data.startswith(_JPEG_START) and data.count(_JPEG_SCAN) > MAX_JPEG_SCANS:
        raise ImageRefused(QuarantineReason.image_too_large, f"more than {MAX_JPEG_SCANS} scans")
    if is_dicom(data):
        return decode_dicom(data, limits)
    # Imported here: the command line imports this package's specs, not Pillow.
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        source = _Metered(data, limits.max_decode_s)
        # Pillow warns of odd tags, and above 89 megapixels; the limit below decides.
        with quiet_warnings(), Image.open(source, formats=ALLOWED_FORMATS) as image:
            _check_header(image.size, image.mode, limits)
            # Camera JPEGs may carry a preview as second frame (MPO); elsewhere frames are different pictures.
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                raise ImageRefused(QuarantineReason.image_format, "more than one frame")
            # load(), not verify(): verify() does not decode and passes truncated JPEGs.
            image.load()
            return (ImageOps.exif_transpose(image) if may_be_turned(data) else image).convert("RGB")
    except ImageRefused:
        raise
    except Image.DecompressionBombError:
        raise ImageRefused(QuarantineReason.image_too_large, "pixels") from None
    except UnidentifiedImageError:
        reason = QuarantineReason.image_format if data else QuarantineReason.image_undecodable
        raise ImageRefused(reason, "no allowed image format" if data else "empty file") from None
    except MemoryError:
        raise ImageRefused(QuarantineReason.image_not_opened, NO_MEMORY) from None
    except _DECODER_ERRORS as error:
        raise ImageRefused(_reason_of(error)) from None


def _check_header(size: tuple[int, int], mode: str, limits: ImageLimits) -> None:
    if size[0] * size[1] > limits.max_mpx * 1e6:
        raise ImageRefused(QuarantineReason.image_too_large, f"{size[0]}x{size[1]} pixels")
    if mode in _DEEP_MODES:
        # Which 8 of 16 bits matter is a clinical window, not something to guess.
        raise ImageRefused(QuarantineReason.image_format, "more than 8 bits a channel; convert it first")


def _reason_of(error: Exception) -> QuarantineReason:
    text = str(error).casefold()
    is_cut = "truncated" in text or isinstance(error, EOFError)
    return QuarantineReason.image_truncated if is_cut else QuarantineReason.image_undecodable
