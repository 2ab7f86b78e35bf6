"""Where a published path may lead; opening and reading it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.sample import QuarantineReason

# To pass through a folder takes the right to search it, not to list it (O_PATH, where the system has it).
_FOLDER = os.O_NOFOLLOW | os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)


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
