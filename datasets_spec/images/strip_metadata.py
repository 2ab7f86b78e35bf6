"""Images as they are stored: upright, and with nothing in the file but pixels.

Camera data, comments, thumbnails and whatever is appended can name a patient. PNG and JPEG lose their metadata without
being encoded again; everything else becomes a PNG of the same pixels.
"""

from __future__ import annotations

import re
import struct
from io import BytesIO
from typing import TYPE_CHECKING

from datasets_spec.images.decode import may_be_turned
from datasets_spec.images.limits import quiet_warnings

if TYPE_CHECKING:
    from PIL import Image

_PNG_START = b"\x89PNG\r\n\x1a\n"
# What Pillow turns into 8-bit RGB depends on these only.
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_JPEG_START = b"\xff\xd8"
_JPEG_END = 0xD9
_JPEG_SCAN = 0xDA
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
    from PIL.Image import open as opened

    try:
        with quiet_warnings(), opened(BytesIO(data), formats=("PNG", "JPEG")) as image:
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
        if marker == _JPEG_SCAN:
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
