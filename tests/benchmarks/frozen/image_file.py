"""What the baseline does to an image file: decodes it, hashes what it shows, and leaves nothing else in it.

A copy of the product's functions of November 2026 that never changes, so that a comparison with the baseline means the
same in every version. DICOM is left out; the benchmark has none.
"""

from __future__ import annotations

import hashlib
import re
import struct
import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

MAX_MPX = 50.0
MAX_DECODE_S = 5.0
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
    MemoryError,
    struct.error,
    zlib.error,
)
_PNG_START = b"\x89PNG\r\n\x1a\n"
# What Pillow turns into 8-bit RGB depends on these only.
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_JPEG_END = 0xD9
_SCAN_MARKER = 0xDA
# APP0 (JFIF) and APP14 (Adobe) say which colour space the numbers are in.
_JFIF = 0xE0
_JPEG_COLOUR = {_JFIF: b"JFIF\0", 0xEE: b"Adobe"}
# What of them says so: a JFIF thumbnail (its size stands in the last two bytes) or anything appended does not.
_JPEG_COLOUR_BYTES = {_JFIF: 14, 0xEE: 12}
_JPEG_METADATA = {*range(0xE0, 0xF0), 0xFE}
# What may follow 0xFF within a scan: a stuffed zero, or the number of a restart (ISO/IEC 10918-1, B.1.1.2 and F.1.2.3).
_WITHIN_SCAN = frozenset((0x00, *range(0xD0, 0xD8)))
_NOT_FILL = re.compile(rb"[^\xff]")
_ORIENTATION = 0x0112
_UPRIGHT = (None, 0, 1)


class RefusedError(Exception):
    """An image cannot be used."""


@contextmanager
def quiet_warnings() -> Iterator[None]:
    """Keeps Pillow's warnings about single files out of the output."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Metered(BytesIO):
    """Encoded bytes that stop being readable once decoding has cost too much."""

    def __init__(self, data: bytes, max_decode_s: float) -> None:
        super().__init__(data)
        self._deadline = time.thread_time() + max_decode_s

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._deadline:
            raise RefusedError("time")
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


def decode(data: bytes) -> Image.Image:
    """Decodes an image completely.

    Args:
        data: Encoded image.

    Returns:
        The image in 8-bit RGB, turned as its EXIF tag says.

    Raises:
        RefusedError: It is no image of an allowed kind, too large, or does not decode to its end.
    """
    if data.startswith(_JPEG_START) and data.count(_JPEG_SCAN) > MAX_JPEG_SCANS:
        raise RefusedError("scans")
    try:
        source = _Metered(data, MAX_DECODE_S)
        # Pillow warns of odd tags, and above 89 megapixels; the limit below decides.
        with quiet_warnings(), Image.open(source, formats=ALLOWED_FORMATS) as image:
            _check_header(image.size, image.mode)
            # Camera JPEGs may carry a preview as second frame (MPO); elsewhere frames are different pictures.
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                raise RefusedError("frames")
            # load(), not verify(): verify() does not decode and passes truncated JPEGs.
            image.load()
            return (ImageOps.exif_transpose(image) if may_be_turned(data) else image).convert("RGB")
    except (Image.DecompressionBombError, UnidentifiedImageError, *_DECODER_ERRORS) as error:
        raise RefusedError(str(error)) from None


def _check_header(size: tuple[int, int], mode: str) -> None:
    if size[0] * size[1] > MAX_MPX * 1e6:
        raise RefusedError("pixels")
    if mode in _DEEP_MODES:
        raise RefusedError("bits")


def without_metadata(data: bytes, image: Image.Image) -> bytes:
    """Returns an image file that shows the same pixels and says nothing else.

    Args:
        data: An encoded image.
        image: What :func:`decode.decode` made of it.

    Returns:
        A PNG or JPEG file, upright, whose pixel hash is that of the original.
    """
    plain = None
    if data.startswith(_PNG_START):
        plain = _plain_png(data)
    elif data.startswith(_JPEG_START):
        plain = _plain_jpeg(data)
    if plain is not None and not _is_turned(data):
        return plain
    return _encoded(image)


def _is_turned(data: bytes) -> bool:
    if not may_be_turned(data):
        return False
    try:
        with quiet_warnings(), Image.open(BytesIO(data), formats=("PNG", "JPEG")) as image:
            return image.getexif().get(_ORIENTATION) not in _UPRIGHT
    except (OSError, SyntaxError, ValueError, struct.error):
        # EXIF that cannot be read: Pillow decides while decoding.
        return True


def _encoded(image: Image.Image) -> bytes:
    red, green, blue = image.split()
    buffer = BytesIO()
    is_grey = red.tobytes() == green.tobytes() == blue.tobytes()
    # A copy: Pillow would write the profile and texts it read into the new file.
    shown = red if is_grey else image.copy()
    shown.info.clear()
    # Level 3: a tenth larger than the default and several times as fast.
    shown.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _plain_png(data: bytes) -> bytes | None:
    kept = [_PNG_START]
    position = len(_PNG_START)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            return None
        if kind in _PNG_KEPT:
            kept.append(data[position:end])
        if kind == b"IEND":
            return b"".join(kept)
        position = end
    return None


def _plain_jpeg(data: bytes) -> bytes | None:
    kept = [_JPEG_START]
    position = len(_JPEG_START)
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == _JPEG_END:
            break
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if marker == _SCAN_MARKER:
            end = _scan_end(data, end)
            if end == -1:
                return None
        if marker not in _JPEG_METADATA:
            kept.append(data[position:end])
        elif _says_colour(marker, data[position + 4 : position + 9]):
            colour = _plain_colour(marker, data[position + 4 : end])
            if colour is None:
                return None
            kept.append(colour)
        position = end
    # The end of the image is where the first one ends: further pictures and appended files stay behind.
    return b"".join([*kept, b"\xff\xd9"]) if data[position : position + 2] == b"\xff\xd9" else None


def _scan_end(data: bytes, start: int) -> int:
    """Returns where the marker behind a scan begins, its fill bytes included; -1 where there is none.

    About one byte in 256 of a scan is 0xFF, and `find` passes over the others many times faster than an expression.
    """
    position = data.find(b"\xff", start)
    while position != -1:
        after = position + 1
        if after < len(data) and data[after] == 0xFF:
            other = _NOT_FILL.search(data, after)
            after = other.start() if other else len(data)
        if after == len(data):
            return -1
        if data[after] not in _WITHIN_SCAN:
            return position
        position = data.find(b"\xff", after)
    return -1


def _says_colour(marker: int, start: bytes) -> bool:
    return _JPEG_COLOUR.get(marker) == start


def _plain_colour(marker: int, payload: bytes) -> bytes | None:
    size = _JPEG_COLOUR_BYTES[marker]
    if len(payload) < size:
        return None
    kept = payload[: size - 2] + b"\0\0" if marker == _JFIF else payload[:size]
    return struct.pack(">BBH", 0xFF, marker, size + 2) + kept
