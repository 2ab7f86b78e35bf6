"""Opening a local file so that no link is followed on the way."""

from __future__ import annotations

import os
from pathlib import Path

# To pass through a folder takes the right to search it, not to list it (O_PATH, where the system has it).
_FOLDER = os.O_NOFOLLOW | os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)


def open_resolved(path: Path) -> int:
    """Opens a resolved path one folder after the other; returns the file's descriptor.

    None of its parts was a link when it was resolved. What is one now was put there since and is not followed, be it
    the file or a folder on the way; a pipe is not waited for.

    Args:
        path: A resolved path.

    Raises:
        OSError: It cannot be opened.
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
