"""Where a published path may lead; opening and reading it."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import overload

from datasets_spec.images.file_state import ABSENT, FileState
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.images.objects import object_state, read_object
from datasets_spec.sample import QuarantineReason
from datasets_spec.storage.open_file import open_resolved
from datasets_spec.storage.place import Place, S3Place, as_place


@overload
def resolve_beneath(root: Path, published: str) -> Path: ...
@overload
def resolve_beneath(root: S3Place, published: str) -> S3Place: ...
@overload
def resolve_beneath(root: str | Place, published: str) -> Place: ...


def resolve_beneath(root: str | Place, published: str) -> Place:
    """Returns the place of a published path, which must lie beneath a folder once links are followed.

    Args:
        root: The folder, which may itself be a link; or ``s3://bucket/prefix``, where there are no links.
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
    root = as_place(root)
    if isinstance(root, S3Place):
        return root / published
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


def file_state(path: Place) -> FileState:
    """Returns size and modification time of a regular file or an object, or ``ABSENT``.

    Args:
        path: A resolved place.

    Raises:
        StorageError: Its bucket cannot be used.
    """
    if isinstance(path, S3Place):
        return object_state(path)
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ABSENT
    if not stat.S_ISREG(found.st_mode):
        return ABSENT
    return FileState(num_bytes=found.st_size, mtime_ns=found.st_mtime_ns)


def read_image(path: Place, limits: ImageLimits) -> bytes:
    """Reads an image within the byte limit.

    Args:
        path: A resolved place.
        limits: What it may cost.

    Raises:
        ImageRefused: It is no regular file, too large or unreadable.
        StorageError: Its bucket cannot be used.
    """
    if isinstance(path, S3Place):
        return read_object(path, limits)
    state = file_state(path)
    if state == ABSENT:
        raise ImageRefused(QuarantineReason.missing_image)
    if state.num_bytes > limits.max_bytes:
        raise ImageRefused(QuarantineReason.image_too_large, f"{state.num_bytes} bytes")
    try:
        with os.fdopen(open_resolved(path), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ImageRefused(QuarantineReason.missing_image)
            data = file.read(limits.max_bytes + 1)
    except OSError:
        raise ImageRefused(QuarantineReason.missing_image, "not readable") from None
    if len(data) > limits.max_bytes:
        raise ImageRefused(QuarantineReason.image_too_large, "grew while it was read")
    return data
