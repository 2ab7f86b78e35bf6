"""What the first pass learns about an image file: its hashes, its looks and its size, or why it is not used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from datasets_spec.images.decode import decode, hash_of
from datasets_spec.images.file_state import ABSENT, FileState
from datasets_spec.images.files import file_state, read_image, resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.storage.place import Place


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedImage:
    """An image that was looked at.

    Args:
        state: Size and time of its file.
        bytes_hash: SHA-256 of the file.
        pixel_hash: Hash of what it shows.
        looks: Perceptual hashes, as numbers.
        size: Width and height, upright.
        reason: Why it cannot be used; None if it can.
        detail: More about that.
    """

    state: FileState
    bytes_hash: str = ""
    pixel_hash: str = ""
    looks: tuple[int, ...] = ()
    size: tuple[int, int] = (0, 0)
    reason: str | None = None
    detail: str = ""


def refused_image(error: ImageRefused, state: FileState = ABSENT) -> OpenedImage:
    """Returns what is known of an image that is not used.

    Args:
        error: Why not.
        state: Size and time of its file.
    """
    return OpenedImage(state=state, reason=error.reason.value, detail=error.detail)


def find_image(root: str, published: str) -> tuple[Place, FileState] | OpenedImage:
    """Returns where an image lies and its file's state; or, where it may not be looked for, why.

    Args:
        root: Folder of images.
        published: Path as written in a record.
    """
    try:
        path = resolve_beneath(root, published)
    except ImageRefused as error:
        return refused_image(error)
    return path, file_state(path)


def open_image(path: Place, state: FileState, limits: ImageLimits) -> OpenedImage:
    """Reads, decodes and hashes an image.

    Args:
        path: A resolved place.
        state: Size and time of the file, to be told.
        limits: What it may cost.
    """
    from datasets_spec.copies.looks import as_numbers, looks_of

    try:
        data = read_image(path, limits)
        image = decode(data, limits)
    except ImageRefused as error:
        return refused_image(error, state)
    return OpenedImage(
        state=state,
        bytes_hash=hashlib.sha256(data).hexdigest(),
        pixel_hash=hash_of(image),
        looks=tuple(as_numbers(looks_of(image))),
        size=image.size,
    )
