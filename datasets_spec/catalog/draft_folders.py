"""Folders whose subfolders are classes, in the layouts in which classification sets are usually kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from datasets_spec.catalog.draft_files import MAX_FOLDERS_VISITED, SPLIT_WORDS
from datasets_spec.catalog.draft_keys import names_a_class
from datasets_spec.readers.image_files import is_image_name

# Such folders say what their files are, not what they show.
_NO_CLASSES = re.compile(
    r"(?:images?|imgs?|pictures|masks?|labels?|annotations?|segmentations?|png|jpe?g)\Z", re.IGNORECASE
)
# Classes have names; hundreds of folders, or folders with long numbers, are patients or series.
_MANY_CLASSES = 100
_LONG_NUMBER = re.compile(r"\d{3}")


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderGuess:
    """Folders that seem to be a subset of images by class.

    Args:
        place: The folder that names the subset.
        folders: Folders that hold one folder a class.
        classes: Names of these.
    """

    place: Path
    folders: tuple[Path, ...]
    classes: tuple[str, ...]

    @property
    def looks_like_patients(self) -> bool:
        """Whether the folders are so many, or so numbered, that they may not be classes."""
        numbered = sum(bool(_LONG_NUMBER.search(name)) for name in self.classes)
        return len(self.classes) > _MANY_CLASSES or 2 * numbered > len(self.classes)

    @property
    def surety(self) -> str:
        """``likely``, or ``doubtful`` where the folders may be something else."""
        return "doubtful" if self.looks_like_patients else "likely"


def find_folders(top: Path) -> list[FolderGuess]:
    """Finds ``CLASS/*``, ``train/CLASS/*`` and ``train|val|test/CLASS/*`` at any depth, without following links.

    Args:
        top: Folder to look in.
    """
    children = _folders_with_images(top)
    return list(_layouts(top, children, _holds_images(top, children)))


def _folders_with_images(top: Path) -> dict[Path, bool]:
    """Folders on the way to images, and whether images lie directly in them."""
    found: dict[Path, bool] = {}
    for folder, folders, names in islice(os.walk(top), MAX_FOLDERS_VISITED):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        if any(is_image_name(name) for name in names):
            here = Path(folder)
            found[here] = True
            for above in here.parents:
                if not above.is_relative_to(top):
                    break
                found.setdefault(above, False)
    return found


def _holds_images(top: Path, found: Mapping[Path, bool]) -> dict[Path, list[Path]]:
    below: dict[Path, list[Path]] = {}
    for folder in sorted(found):
        if folder != top:
            below.setdefault(folder.parent, []).append(folder)
    return below


def _layouts(folder: Path, found: Mapping[Path, bool], below: Mapping[Path, Sequence[Path]]) -> Iterator[FolderGuess]:
    children = below.get(folder, ())
    splits = [child for child in children if SPLIT_WORDS.search(child.name)]
    with_classes = [split for split in splits if _are_classes(below.get(split, ()), found)]
    if with_classes and len({child.name for split in with_classes for child in below[split]}) > 1:
        yield _guess(folder, with_classes, below)
    elif len(children) > 1 and not splits and _are_classes(children, found):
        yield _guess(folder, [folder], below)
        return
    for child in children:
        if child not in with_classes:
            yield from _layouts(child, found, below)


def _are_classes(children: Sequence[Path], found: Mapping[Path, bool]) -> bool:
    """Whether folders are classes: most hold images or are called as classes are, none is as folders of files are."""
    holding = sum(found[child] or names_a_class(child.name) for child in children)
    return 2 * holding > len(children) > 0 and not any(_NO_CLASSES.match(child.name) for child in children)


def _guess(place: Path, folders: Sequence[Path], below: Mapping[Path, Sequence[Path]]) -> FolderGuess:
    classes = sorted({child.name for folder in folders for child in below[folder]})
    return FolderGuess(place=place, folders=tuple(folders), classes=tuple(classes))
