from __future__ import annotations

import io
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from datasets_spec.images.decode import decode
from datasets_spec.images.limits import ImageLimits, ImageRefused
from tests.datasets_spec.images.shown import LIMITS, pixel_hash
from tests.makers.corpus import encoded, picture

NOISE = Image.effect_noise((80, 60), 90).convert("RGB")


def refused(data: bytes, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(ImageRefused) as caught:
        pixel_hash(data, limits)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_one_picture_has_one_hash_in_every_lossless_format(kind: str) -> None:
    buffer = io.BytesIO()
    picture(5).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert pixel_hash(buffer.getvalue(), LIMITS) == pixel_hash(encoded(picture(5)), LIMITS)


def test_one_changed_pixel_changes_the_hash() -> None:
    image = picture(5)
    before = pixel_hash(encoded(image), LIMITS)
    image.putpixel((3, 3), (1, 2, 3))
    assert pixel_hash(encoded(image), LIMITS) != before


def test_the_size_is_part_of_the_hash() -> None:
    flat, tall = Image.new("RGB", (8, 2)), Image.new("RGB", (2, 8))
    assert pixel_hash(encoded(flat), LIMITS) != pixel_hash(encoded(tall), LIMITS)


def test_a_picture_turned_by_its_exif_tag_equals_the_turned_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    NOISE.save(buffer, "PNG", exif=exif)
    turned = NOISE.transpose(Image.Transpose.ROTATE_270)
    assert pixel_hash(buffer.getvalue(), LIMITS) == pixel_hash(encoded(turned), LIMITS)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK"])
def test_modes_of_eight_bits_are_accepted(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert len(pixel_hash(encoded(NOISE.convert(mode), kind), LIMITS)) == 64


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_cut_files_are_refused(kind: str, share: float) -> None:
    data = encoded(NOISE, kind)
    assert refused(data[: int(len(data) * share)]) in ("image_truncated", "image_undecodable")


def test_a_file_cut_in_the_middle_is_called_truncated() -> None:
    data = encoded(NOISE, "JPEG")
    assert refused(data[: len(data) // 2]) == "image_truncated"


def bad_checksum(data: bytes) -> bytes:
    at = data.index(b"IDAT") + 10
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


def deep(_: bytes) -> bytes:
    return encoded(Image.new("I;16", (4, 4), 40_000))


def frames(_: bytes) -> bytes:
    buffer = io.BytesIO()
    NOISE.save(buffer, "TIFF", save_all=True, append_images=[picture(1).resize(NOISE.size)])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "image_undecodable"),
        (lambda data: b"P", "image_format"),
        (lambda data: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image_format"),
        (lambda data: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image_format"),
        (lambda data: b"\0" * 128 + b"DICM" + data, "image_format"),
        (bad_checksum, "image_undecodable"),
        (deep, "image_format"),
        (frames, "image_format"),
        (lambda data: encoded(NOISE, "GIF"), "image_format"),
    ],
)
def test_what_is_no_plain_image_is_refused(damage: Callable[[bytes], bytes], reason: str) -> None:
    assert refused(damage(encoded(NOISE))) == reason


def test_pixels_are_counted_before_they_are_decoded() -> None:
    header = encoded(Image.new("1", (60_000, 60_000 // 1000)))
    width, height = (60_000).to_bytes(4, "big"), (60).to_bytes(4, "big")
    bomb = header.replace(width + height, width + width, 1)
    at = bomb.index(b"IHDR")
    bomb = bomb[: at + 17] + zlib.crc32(bomb[at : at + 17]).to_bytes(4, "big") + bomb[at + 21 :]
    assert refused(bomb) == "image_too_large"
    assert refused(encoded(Image.new("1", (1001, 1000)))) == "image_too_large"
    assert len(pixel_hash(encoded(Image.new("1", (1000, 1000))), LIMITS)) == 64


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_every_format_that_can_be_turned_is(kind: str) -> None:
    image = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter: 40 x 20 is seen as 20 x 40
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif)
    assert decode(buffer.getvalue(), LIMITS).size == (20, 40)
    plain = io.BytesIO()
    image.save(plain, kind)
    assert decode(plain.getvalue(), LIMITS).size == (40, 20)
