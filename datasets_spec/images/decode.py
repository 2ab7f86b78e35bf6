"""Images from disk, distrusted: where they may lie, what they may be, and the hash of what they show."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_spec.images.dicom import decode_dicom, is_dicom
from datasets_spec.sample import QuarantineReason

if TYPE_CHECKING:
    from PIL import Image

# Formats of the published data sets; every other Pillow plugin (EPS, PSD, ...) stays shut.
ALLOWED_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
# An 8-bit RGB image of 50 megapixels decodes to 150 MB: fundus photographs and pathology crops fit, bombs
# do not.
DEFAULT_MAX_IMAGE_MPX = 50.0
DEFAULT_MAX_IMAGE_BYTES = 64 * 1024 * 1024
# Seconds of processor time, not of the clock: a busy machine must not decide which rows are stored. 50 megapixels take
# under 2 s in every allowed format.
DEFAULT_MAX_DECODE_S = 5.0
# A progressive JPEG has some ten scans, each of which passes over all pixels; thousands fit into a few kilobytes.
MAX_JPEG_SCANS = 100
_JPEG_START, _JPEG_SCAN = b"\xff\xd8", b"\xff\xda"
# Of EXIF blocks, PNG's text profiles and XMP packets.
_ORIENTATION_MARKS = (b"Exif", b"eXIf", b"EXIF", b"exif", b"xmp", b"XMP", b"Orientation")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Modes whose values do not fit 8 bits; Pillow clips them to white when asked for RGB.
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
# To pass through a folder takes the right to search it, not to list it (O_PATH, where the system has it).
_FOLDER = os.O_NOFOLLOW | os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class FileState:
    """Size and modification time of a file; size -1 where there is none."""

    num_bytes: int
    mtime_ns: int


ABSENT = FileState(num_bytes=-1, mtime_ns=-1)


def resolve_beneath(root: Path, published: str) -> Path:
    """Returns the place of a published path, which must lie beneath a folder once links are followed.

    Args:
        root: The folder; it may itself be a link.
        published: Path as written in a record.

    Raises:
        ImageRefused: The path is absolute, climbs out, follows a link out, or cannot be a path.
    """
    outside = ImageRefused(QuarantineReason.path_outside_root)
    if not published or "\0" in published or published.startswith(("/", "\\", "~")) or published[1:2] == ":":
        raise outside
    # file://, http://, zip::, simplecache:: ...: only the folder's own file system is opened.
    if "://" in published or "::" in published:
        raise outside
    if ".." in published.replace("\\", "/").split("/"):
        raise outside
    try:
        top = _resolved(root)
        place = _without_links(top, published) or str((Path(top) / published).resolve())
    except (OSError, RuntimeError, ValueError):
        # A circle of links, or a name longer than the file system takes.
        raise ImageRefused(QuarantineReason.missing_image, "not a usable path") from None
    if os.path.commonpath((top, place)) != top:
        raise outside
    return Path(place)


def _resolved(root: Path) -> str:
    """Returns the folder behind a path, looked up again only when it is another."""
    found = root.stat()
    return _real_folder(str(root), found.st_dev, found.st_ino)


@lru_cache(maxsize=1024)
def _real_folder(root: str, device: int, inode: int) -> str:
    return os.path.realpath(root)


def _without_links(top: str, published: str) -> str | None:
    """Returns a place beneath a resolved folder when no part of the way is a link, which is quick to see; else None."""
    place = top
    for part in published.split("/"):
        if part in ("", "."):
            continue
        place = f"{place}/{part}"
        try:
            if stat.S_ISLNK(os.lstat(place).st_mode):
                return None
        except (FileNotFoundError, NotADirectoryError):
            return None
    return place


def file_state(path: Path) -> FileState:
    """Returns size and modification time of a regular file, or ``ABSENT``.

    Args:
        path: A resolved path.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ABSENT
    if not stat.S_ISREG(found.st_mode):
        return ABSENT
    return FileState(num_bytes=found.st_size, mtime_ns=found.st_mtime_ns)


def read_image(path: Path, limits: ImageLimits) -> bytes:
    """Reads an image file within the byte limit.

    Args:
        path: A resolved path.
        limits: What it may cost.

    Raises:
        ImageRefused: It is no regular file, too large or unreadable.
    """
    state = file_state(path)
    if state == ABSENT:
        raise ImageRefused(QuarantineReason.missing_image)
    if state.num_bytes > limits.max_bytes:
        raise ImageRefused(QuarantineReason.image_too_large, f"{state.num_bytes} bytes")
    try:
        with os.fdopen(_open_resolved(path), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ImageRefused(QuarantineReason.missing_image)
            data = file.read(limits.max_bytes + 1)
    except OSError:
        raise ImageRefused(QuarantineReason.missing_image, "not readable") from None
    if len(data) > limits.max_bytes:
        raise ImageRefused(QuarantineReason.image_too_large, "grew while it was read")
    return data


def _open_resolved(path: Path) -> int:
    """Opens a resolved path one folder after the other; returns the file's descriptor.

    None of its parts was a link when it was resolved. What is one now was put there since and is not followed, be it
    the file or a folder on the way; a pipe is not waited for.
    """
    *folders, name = path.parts[1:]
    here = os.open(path.anchor, _FOLDER)
    try:
        for folder in folders:
            within, here = here, os.open(folder, _FOLDER, dir_fd=here)
            os.close(within)
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
    finally:
        os.close(here)


@contextmanager
def quiet_warnings() -> Iterator[None]:
    """Keeps Pillow's warnings about single files out of the output of a job over many."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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


def pixel_hash(data: bytes, limits: ImageLimits) -> str:
    """Decodes an image completely and hashes what it shows.

    Args:
        data: Encoded image.
        limits: What it may cost.

    Returns:
        SHA-256 of size and 8-bit RGB pixels after EXIF rotation: equal for a PNG and a BMP of one picture.

    Raises:
        ImageRefused: It is no image of an allowed kind, too large, or does not decode to its end.
    """
    return hash_of(decode(data, limits))


def hash_of(image: Image.Image) -> str:
    """Hashes what an image shows.

    Args:
        image: An upright RGB image.
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
    return is_tiff or any(mark in data for mark in _ORIENTATION_MARKS)


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
