"""Images in folders named after their class, in an order that no file system decides."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datasets_spec.errors import ReaderError
from datasets_spec.readers.records import RowError
from datasets_spec.sample import QuarantineReason
from datasets_spec.storage.place import Place, S3Place

# Files that are looked at, whatever their case; what decodes them goes by their content. Others (Thumbs.db, notes,
# outlines beside the pictures) are no records, as for torchvision's ImageFolder.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".dcm", ".dicom")
SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
# Class, patient, study, series: deeper folders are a mistake, or made to exhaust a program.
_MOST_DEPTH = 16


class FoundImage(NamedTuple):
    """A file: its class, its path below the folder, and what is wrong with it."""

    label: str
    path: str
    error: RowError | None


def is_image_name(name: str) -> bool:
    """Whether a file counts as an image; hidden ones never do.

    Args:
        name: Name of the file.
    """
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def completed(root: Place, published: str) -> str:
    """Returns a path with its ending, where it is written without one (``000c1434d8d7``) and such a file is there.

    Args:
        root: Folder that the path starts from.
        published: Path as written.
    """
    if is_image_name(published.rsplit("/", 1)[-1]) or published.startswith(("/", "~")) or ".." in published:
        return published
    endings = (ending for suffix in IMAGE_SUFFIXES for ending in (suffix, suffix.upper()))
    if isinstance(root, S3Place):
        start = (root / published).key
        there = {found.key[len(start) :] for found in root.storage.objects(f"{start}.")}
        return next((f"{published}{ending}" for ending in endings if ending in there), published)
    return next((name for ending in endings if os.path.isfile(root / (name := f"{published}{ending}"))), published)


def class_folders(top: Place, within: Place) -> list[str]:
    """Lists the folders of a folder that hold at least one image.

    Args:
        top: The folder.
        within: Folder that links must not lead out of.

    Raises:
        ReaderError: It cannot be listed, or its folders are splits rather than classes.
    """
    folders = [name for name, is_folder in _listed(top) if is_folder]
    if folders and all(name.casefold() in SPLIT_NAMES for name in folders):
        raise ReaderError(
            f"{top} holds splits ({', '.join(folders)}), not classes",
            hint="give the folders themselves: those to divide as `pool`, a published test set as `test`",
        )
    return [name for name in folders if any(found.error is None for found in _images_of(top, name, within))]


def find_images(top: Place, within: Place) -> Iterator[FoundImage]:
    """Yields every image below a folder, class by class.

    Only the names of the folders on the way are held in memory. A linked folder is entered where it stays beneath
    ``within``; one that leads out of it, or back, is a single record with an error.

    Args:
        top: The folder that holds one folder a class.
        within: Folder that links must not lead out of.

    Raises:
        ReaderError: A folder cannot be listed.
    """
    for name, is_folder in _listed(top):
        if is_folder:
            yield from _images_of(top, name, within)
        elif is_image_name(name):
            yield FoundImage("", name, RowError(QuarantineReason.malformed_row, "lies in no folder of a class"))


def _images_of(top: Place, label: str, within: Place) -> Iterator[FoundImage]:
    if isinstance(top, S3Place):
        below = _keys_below(top / label, label)
    else:
        below = _below(os.path.realpath(str(within)), str(top / label), label, (os.path.realpath(top),))
    for path, error in below:
        yield FoundImage(label, path, error or _unwritable(path))


def _keys_below(folder: S3Place, path: str, depth: int = 1) -> Iterator[tuple[str, RowError | None]]:
    """The same in a bucket, which has no links."""
    if depth > _MOST_DEPTH:
        yield path, RowError(QuarantineReason.malformed_row, f"more than {_MOST_DEPTH} folders deep")
        return
    for name, is_folder in _listed(folder):
        if is_folder:
            yield from _keys_below(folder / name, f"{path}/{name}", depth + 1)
        elif is_image_name(name):
            yield f"{path}/{name}", None


def _below(within: str, folder: str, path: str, above: tuple[str, ...]) -> Iterator[tuple[str, RowError | None]]:
    real = os.path.realpath(folder)
    if os.path.commonpath((within, real)) != within:
        yield path, RowError(QuarantineReason.path_outside_root, "a linked folder")
    elif real in above:
        yield path, RowError(QuarantineReason.malformed_row, "a linked folder leads back to itself")
    elif len(above) > _MOST_DEPTH:
        yield path, RowError(QuarantineReason.malformed_row, f"more than {_MOST_DEPTH} folders deep")
    else:
        for name, is_folder in _listed(Path(folder), class_folder=(*above, folder)[1]):
            if is_folder:
                yield from _below(within, os.path.join(real, name), f"{path}/{name}", (*above, real))
            elif is_image_name(name):
                yield f"{path}/{name}", None


def _listed(folder: Place, class_folder: str = "") -> list[tuple[str, bool]]:
    """Names in a folder and whether each is a folder, ordered by spelling: the same on every file system."""
    try:
        if isinstance(folder, S3Place):
            folders, objects = folder.storage.children(folder.key)
            names = {**dict.fromkeys(folders, True), **{place.key.rsplit("/", 1)[-1]: False for place in objects}}
            entries = list(names.items())
        else:
            with os.scandir(folder) as scanned:
                entries = [(entry.name, entry.is_dir()) for entry in scanned]
    except OSError as error:
        # A folder below may be called after a patient.
        named = f"the folder {folder}" if class_folder in ("", str(folder)) else f"a folder in {class_folder}"
        raise ReaderError(
            f"cannot read {named}: {error.strerror or type(error).__name__}",
            hint="check the pool and test paths of the catalog, and who may read there",
        ) from None
    found = [(name, is_folder) for name, is_folder in entries if not name.startswith((".", "__MACOSX"))]
    return sorted(found, key=lambda item: (unicodedata.normalize("NFC", item[0]), item[0]))


def _unwritable(path: str) -> RowError | None:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return RowError(QuarantineReason.malformed_row, "the file's name is not UTF-8 text")
    return None
