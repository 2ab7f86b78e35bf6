"""What is learned of an image file when it is opened: hashes, looks, size and what is stored, or why it is not used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from datasets_spec.boxes import outer_box
from datasets_spec.images.decode import decode, hash_of
from datasets_spec.images.file_state import ABSENT, FileState
from datasets_spec.images.files import file_state, read_image, resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.images.strip_metadata import without_metadata
from datasets_spec.sample import QuarantineReason
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
        stored: The file that is stored: the same pixels and nothing else. Empty of a mask.
        mask_box: Of a mask, the box around what it marks: left, top, right and bottom on the grid.
        reason: Why it cannot be used; None if it can.
        detail: More about that.
    """

    state: FileState
    bytes_hash: str = ""
    pixel_hash: str = ""
    looks: tuple[int, ...] = ()
    size: tuple[int, int] = (0, 0)
    stored: bytes = b""
    mask_box: tuple[int, int, int, int] | None = None
    reason: str | None = None
    detail: str = ""


def refused_image(error: ImageRefused, state: FileState = ABSENT) -> OpenedImage:
    """Returns what is known of an image that is not used.

    Args:
        error: Why not.
        state: Size and time of its file; one that cannot be read is taken for absent, so that it is looked at again.
    """
    if error.reason == QuarantineReason.missing_image:
        state = ABSENT
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
    """Reads an image once, decodes it once and learns everything of it.

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
        stored=without_metadata(data, image),
    )


def open_mask(path: Place, state: FileState, limits: ImageLimits) -> OpenedImage:
    """Reads a mask and finds the box around what it marks.

    Args:
        path: A resolved place.
        state: Size and time of the file, to be told.
        limits: What it may cost.
    """
    try:
        mask = decode(read_image(path, limits), limits)
    except ImageRefused as error:
        return refused_image(error, state)
    box = outer_box(mask)
    edges = None if box is None else (box.left, box.top, box.right, box.bottom)
    return OpenedImage(state=state, size=mask.size, mask_box=edges)
