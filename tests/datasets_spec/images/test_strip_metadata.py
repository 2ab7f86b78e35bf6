from __future__ import annotations

import io
import re
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from datasets_spec.images.decode import decode, may_be_turned
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.images.strip_metadata import _scan_end, without_metadata
from tests.datasets_spec.images.shown import pixel_hash
from tests.makers.corpus import encoded

LIMITS = ImageLimits()


def plain_of(data: bytes) -> bytes:
    return without_metadata(data, decode(data, LIMITS))


SECRET = b"PATIENT-4711"
NOISE = Image.merge("RGB", [Image.effect_noise((41, 23), spread) for spread in (20, 60, 90)])


def saved(kind: str, mode: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    NOISE.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def with_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = SECRET.decode()
    return exif


def labelled_png(mode: str, orientation: int = 1) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Patient", SECRET.decode())
    info.add_itxt("Comment", SECRET.decode(), zip=False)
    return saved("PNG", mode, pnginfo=info, exif=with_exif(orientation)) + b"PK\x03\x04" + SECRET


def labelled_jpeg(mode: str, orientation: int = 1, **options: Any) -> bytes:
    options |= {"exif": with_exif(orientation), "comment": SECRET, "icc_profile": SECRET * 9, "xmp": SECRET}
    return saved("JPEG", mode, **options) + b"<html>" + SECRET


def with_thumbnail(data: bytes, *, extra: bytes = b"") -> bytes:
    """Puts a picture of its own into the JFIF segment, and an extension with another one behind it."""
    assert data[2:4] == b"\xff\xe0"
    thumbnail = (SECRET * 3)[: 3 * 3 * 4]
    payload = data[6:18] + bytes((3, 4)) + thumbnail + extra
    jfxx = b"JFXX\0\x13" + bytes((3, 4)) + thumbnail
    segments = [struct.pack(">BBH", 0xFF, 0xE0, len(part) + 2) + part for part in (payload, jfxx)]
    return data[:2] + b"".join(segments) + data[20:]


FILES = {
    **{f"png {mode}": labelled_png(mode) for mode in ("1", "L", "P", "LA", "RGB", "RGBA")},
    **{f"jpeg {mode}": labelled_jpeg(mode) for mode in ("L", "RGB", "CMYK")},
    "jpeg progressive": labelled_jpeg("RGB", progressive=True),
    "jpeg with restarts": labelled_jpeg("RGB", restart_marker_blocks=1, subsampling=2),
    "jpeg optimised": labelled_jpeg("RGB", optimize=True, quality=30),
    **{f"jpeg turned {n}": labelled_jpeg("RGB", n) for n in range(2, 9)},
    **{f"png turned {n}": labelled_png("RGB", n) for n in range(2, 9)},
    "jpeg with thumbnails": with_thumbnail(saved("JPEG", "RGB")),
    "jpeg with more than a thumbnail": with_thumbnail(saved("JPEG", "L"), extra=SECRET),
    "webp": saved("WEBP", "RGB", exif=with_exif(6), lossless=True),
    "bmp": saved("BMP", "RGB") + SECRET,
    "tiff": saved("TIFF", "RGB", description=SECRET.decode()),
    "tiff grey": saved("TIFF", "L", description=SECRET.decode(), compression="tiff_lzw"),
    "mpo": saved("MPO", "RGB", save_all=True, append_images=[NOISE.rotate(90)], exif=with_exif(1)),
}


@pytest.mark.parametrize("name", FILES)
def test_the_pixels_stay_and_everything_else_goes(name: str) -> None:
    data = FILES[name]
    plain = plain_of(data)
    assert pixel_hash(plain, LIMITS) == pixel_hash(data, LIMITS)
    assert SECRET not in plain
    with Image.open(io.BytesIO(plain)) as image:
        image.load()
        assert image.format in ("PNG", "JPEG")
        assert dict(image.getexif()) == {}
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "adobe", "adobe_transform",
                                   "progressive", "progression", "transparency"}  # fmt: skip
    assert plain_of(plain) == plain


# What ended a scan before: an expression over all its bytes.
NEXT_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")


def end_by_expression(data: bytes, start: int) -> int:
    found = NEXT_MARKER.search(data, start)
    return found.start() if found else -1


@given(
    st.lists(st.sampled_from([b"\xff", b"\x00", b"\xd0", b"\xd7", b"\xd9", b"\xda", b"\x01", b"\xcf"])),
    st.integers(0, 5),
)
def test_a_scan_ends_where_an_expression_says(parts: list[bytes], start: int) -> None:
    data = b"".join(parts)
    assert _scan_end(data, start) == end_by_expression(data, start)


@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    spread=st.integers(1, 120),
    quality=st.integers(1, 98),
    progressive=st.booleans(),
    restarts=st.integers(0, 3),
    mode=st.sampled_from(["L", "RGB", "CMYK"]),
)
def test_every_scan_of_a_jpeg_ends_where_an_expression_says(
    size: tuple[int, int], spread: int, quality: int, progressive: bool, restarts: int, mode: str
) -> None:
    buffer = io.BytesIO()
    image = Image.effect_noise(size, spread).convert(mode)
    image.save(buffer, "JPEG", quality=quality, progressive=progressive, restart_marker_blocks=restarts)
    data = buffer.getvalue() + b"\xff\x00\xff\xd9" + SECRET
    starts = [found.end() for found in re.finditer(rb"\xff\xda", data)]
    assert starts
    assert [_scan_end(data, start) for start in starts] == [end_by_expression(data, start) for start in starts]


def test_a_scan_of_fill_bytes_takes_one_look_at_each() -> None:
    # By the expression, which began anew at each byte, 200 kB of them took minutes.
    fill = b"\xff" * 200_000
    assert _scan_end(fill + b"\x00" + fill, 0) == -1
    assert _scan_end(b"\xff\x00" + fill + b"\xd9", 0) == 2


def test_jpegs_are_not_encoded_again() -> None:
    plain = plain_of(FILES["jpeg RGB"])
    assert plain.startswith(b"\xff\xd8")
    assert len(plain) < len(FILES["jpeg RGB"])


@given(at=st.integers(0, 5000), byte=st.integers(0, 255), name=st.sampled_from(sorted(FILES)))
@settings(max_examples=200)
def test_a_damaged_file_is_refused_or_keeps_its_pixels(at: int, byte: int, name: str) -> None:
    data = bytearray(FILES[name])
    data[at % len(data)] = byte
    try:
        before = pixel_hash(bytes(data), LIMITS)
    except ImageRefused:
        return
    assert pixel_hash(plain_of(bytes(data)), LIMITS) == before


def test_orientation_is_looked_for_where_it_can_stand() -> None:
    upright, turned = labelled_jpeg("RGB"), labelled_jpeg("RGB", 6)
    plain = plain_of(upright)
    assert may_be_turned(turned)
    assert may_be_turned(with_thumbnail(turned))
    # Behind the first scan nobody reads it.
    assert not may_be_turned(plain + b"Exif")
    assert pixel_hash(plain + turned[2:], LIMITS) == pixel_hash(plain, LIMITS)
    # What has no beginning of that kind is searched whole.
    assert may_be_turned(b"\xff\xd8\xff\xff" + turned[2:])
    assert may_be_turned(labelled_png("RGB", 6))


def test_a_text_chunk_behind_the_pixels_goes_too() -> None:
    chunk = struct.pack(">I", len(SECRET)) + b"tEXt" + SECRET + struct.pack(">I", zlib.crc32(b"tEXt" + SECRET))
    data = encoded(NOISE)
    data = data[:-12] + chunk + data[-12:]
    assert SECRET not in plain_of(data)
