"""What is done with whole files and folders of a store, be it on a disk or in a bucket."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_spec import atomic
from datasets_spec.storage.place import Place

if TYPE_CHECKING:
    import pyarrow as pa


def replace_file(place: Place, write: Callable[[Path], object]) -> None:
    """Writes a file that is seen whole or not at all, and is on the disk when this returns.

    Args:
        place: The file to replace or make.
        write: Writes the new content to the local path it is given.
    """
    if isinstance(place, Path):
        atomic.replace_file(place, write)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / place.name
        write(path)
        place.storage.replace(place.key, path.read_bytes())


def replace_text(place: Place, text: str) -> None:
    """Replaces a file by UTF-8 text; see :func:`replace_file`."""
    if isinstance(place, Path):
        atomic.replace_text(place, text)
    else:
        place.storage.replace(place.key, text.encode())


def put(place: Place, data: bytes | pa.Buffer) -> None:
    """Writes a file of a folder that is there, whole or not at all; unlike above, a disk is not waited for.

    Args:
        place: The file to replace or make.
        data: Its content.
    """
    if isinstance(place, Path):
        unfinished = place.with_name(f".{place.name}.{os.getpid()}")
        unfinished.write_bytes(data)
        unfinished.replace(place)
    else:
        place.storage.replace(place.key, bytes(data))


def files_in(folder: Place) -> dict[str, int]:
    """Returns the files directly in a folder, by name in the order of their names, with their sizes in bytes.

    Args:
        folder: The folder; one that is not there has none.
    """
    if not isinstance(folder, Path):
        return {state.key.rsplit("/", 1)[-1]: state.num_bytes for state in folder.storage.children(folder.key)[1]}
    sizes: dict[str, int] = {}
    for name in names_in(folder):
        with suppress(FileNotFoundError):  # a file that was being written has got its name since
            sizes[name] = (folder / name).stat().st_size
    return sizes


def names_in(folder: Place) -> list[str]:
    """Returns the names of the files directly in a folder, ordered; on a disk none of them is looked at.

    Args:
        folder: The folder; one that is not there has none.
    """
    if not isinstance(folder, Path):
        return list(files_in(folder))
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except FileNotFoundError:
        return []


def folders_in(folder: Place) -> list[str]:
    """Returns the names of the folders directly in a folder, ordered.

    Args:
        folder: The folder; one that is not there has none.
    """
    if not isinstance(folder, Path):
        return folder.storage.children(folder.key)[0]
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def sizes_below(folder: Place) -> dict[str, int]:
    """Returns the files at any depth of a folder, by path from there with slashes, with their sizes in bytes.

    Args:
        folder: The folder; one that is not there has none.
    """
    if not isinstance(folder, Path):
        states = folder.storage.objects(folder.before)
        return {state.key.removeprefix(folder.before): state.num_bytes for state in states}
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def remove_folder(folder: Place) -> None:
    """Removes a folder with everything in it; one that is not there is no error.

    Args:
        folder: The folder.
    """
    if isinstance(folder, Path):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        folder.storage.remove_all([state.key for state in folder.storage.objects(folder.before)])


def whole(place: Place) -> pa.NativeFile:
    """Opens a file that Arrow reads whole.

    Args:
        place: The file.

    Raises:
        OSError: There is none, or it cannot be read.
        StorageError: Its bucket cannot be used.
    """
    import pyarrow as pa

    return pa.OSFile(str(place)) if isinstance(place, Path) else pa.BufferReader(place.read_bytes())


def mapped(place: Place) -> pa.NativeFile:
    """Opens a file of which Arrow reads some columns: on a disk these alone are read.

    Args:
        place: The file.

    Raises:
        OSError: There is none, or it cannot be read.
        StorageError: Its bucket cannot be used.
    """
    import pyarrow as pa

    return pa.memory_map(str(place)) if isinstance(place, Path) else pa.BufferReader(place.read_bytes())
