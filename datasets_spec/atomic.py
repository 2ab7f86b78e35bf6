"""Replaces a file in one step: a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file beside `path`, forces it to disk and renames it; makes the folder where it is missing.

    Args:
        path: The file to replace or make.
        write: Writes the new content to the path it is given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Replaces a file by UTF-8 text; see :func:`replace_file`."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def sync_folders(folder: Path) -> None:
    """Waits until the entries of a folder, and of all folders in it, are on the disk."""
    for path, _, _ in os.walk(folder):
        sync(Path(path))


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
