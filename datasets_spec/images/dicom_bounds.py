"""What a DICOM file may unfold to: deflation, run lengths and pictures inside are bounded before they grow.

A deflated file of 1.2 MiB took 2.4 GiB of memory; limits on the file's own size say nothing.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from datasets_spec.sample import QuarantineReason

if TYPE_CHECKING:
    from datasets_spec.images.limits import ImageLimits

# The file's meta group begins behind the preamble and its magic word (DICOM PS3.10, 7.1); it is never deflated.
META_START: Final = 132
_META_GROUP: Final = 2
# Both have one reader once the stream is inflated (PS3.5, A.5).
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
_EXPLICIT: Final = b"1.2.840.10008.1.2.1".ljust(len(_DEFLATED), b"\0")
_RLE: Final = "1.2.840.10008.1.2.5"
_RLE_HEADER_BYTES: Final = 64  # sixteen numbers of four bytes (PS3.5, G.5)


def inflated(data: bytes, limits: ImageLimits) -> bytes:
    """Returns a DICOM file as it would be without deflation; other files as they are.

    Args:
        data: The file.
        limits: What it may cost; an inflated file may be as large as any other.

    Raises:
        ImageRefused: It grows beyond the limit, or is cut off.
    """
    from pydicom.filereader import read_dataset

    from datasets_spec.images.limits import ImageRefused

    head = BytesIO(data)
    head.seek(META_START)
    meta = read_dataset(head, False, True, stop_when=lambda tag, vr, length: tag.group != _META_GROUP)
    if str(meta.get("TransferSyntaxUID", "")) != _DEFLATED.decode():
        return data
    end = head.tell()
    if "FileMetaInformationGroupLength" in meta:  # behind its own 12 bytes
        end = META_START + 12 + int(meta.FileMetaInformationGroupLength)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    body = stream.decompress(data[end:], limits.max_bytes)
    if stream.unconsumed_tail:
        raise ImageRefused(QuarantineReason.image_too_large, f"inflates to more than {limits.max_bytes} bytes")
    if not stream.eof:
        raise ImageRefused(QuarantineReason.image_truncated)
    return data[:end].replace(_DEFLATED, _EXPLICIT, 1) + body


def require_bounded_frame(found: Any) -> None:
    """Refuses a compressed picture that is larger inside than the file says, before it is decompressed.

    Args:
        found: A dataset with one frame, whose rows and columns are within the limits.

    Raises:
        ImageRefused: The picture inside is of another size, grows beyond it, or its compression is not read here.
    """
    from pydicom.encaps import get_frame

    syntax = found.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return  # its bytes are in the file
    frame = get_frame(found.PixelData, 0, number_of_frames=1)
    if str(syntax) == _RLE:
        _require_bounded_runs(frame, int(found.Rows) * int(found.Columns))
    else:
        _require_size_inside(frame, (int(found.Columns), int(found.Rows)))


def _require_size_inside(frame: bytes, size: tuple[int, int]) -> None:
    from PIL import Image, UnidentifiedImageError

    from datasets_spec.images.limits import ImageRefused

    try:
        with Image.open(BytesIO(frame), formats=("JPEG", "JPEG2000")) as inside:
            found = inside.size
    except UnidentifiedImageError:
        raise ImageRefused(QuarantineReason.image_format, "a compression that is not read here") from None
    if found != size:
        detail = f"{found[0]}x{found[1]} pixels inside a DICOM picture of {size[0]}x{size[1]}"
        raise ImageRefused(QuarantineReason.image_undecodable, detail)


def _require_bounded_runs(frame: bytes, num_pixels: int) -> None:
    """Counts what run lengths unfold to; a segment holds one byte of every pixel (PS3.5, G.3)."""
    from datasets_spec.images.limits import ImageRefused

    num_segments = min(struct.unpack_from("<L", frame)[0], _RLE_HEADER_BYTES // 4 - 1)
    starts = [*struct.unpack_from(f"<{num_segments}L", frame, 4), len(frame)]
    for start, end in pairwise(starts):
        num_bytes, position = 0, start
        while position < end:
            header = frame[position]
            # Below 128 that many bytes and one follow; above, the next byte is repeated; 128 is empty (PS3.5, G.3.1).
            num_bytes += header + 1 if header < 128 else 257 - header if header > 128 else 0
            position += header + 2 if header < 128 else 2 if header > 128 else 1
            if num_bytes > num_pixels + 1:  # a segment is padded to an even length
                raise ImageRefused(QuarantineReason.image_too_large, f"run lengths of more than {num_pixels} pixels")
