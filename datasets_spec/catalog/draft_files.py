"""Data files of a folder nobody has described: their format and the folder of their images, wherever it lies."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from datasets_spec.catalog.draft_boxes import BoxGuess, guess_boxes
from datasets_spec.errors import UserError
from datasets_spec.images.file_state import ABSENT
from datasets_spec.images.files import file_state, resolve_beneath
from datasets_spec.images.limits import ImageRefused
from datasets_spec.readers import FORMATS, MADE_QUESTIONS, get_reader
from datasets_spec.readers.files import SUFFIXES
from datasets_spec.readers.image_files import completed
from datasets_spec.sample import QuarantinedRow, RawSample

NUM_RECORDS_TRIED = 64
# A folder of images may hold millions of files; data files lie near the top of what people call a data set.
MAX_FOLDERS_VISITED = 5_000
MAX_DATA_FILES = 200
_MAX_ROOTS_TRIED = 60
# Images often lie beside the folder of the questions, or beside that folder's own.
_NUM_FOLDERS_ABOVE = 2
TEST_WORDS = re.compile(r"(?:^|[-_. ])(?:test|testing|benchmark|held[-_]?(?:in|out))(?=$|[-_. ])", re.IGNORECASE)
SPLIT_WORDS = re.compile(
    r"(?:^|[-_. ])(?:train|training|val|valid|validation|dev|test|testing)(?=$|[-_. ])", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileGuess:
    """What a data file seems to be.

    Args:
        path: The file.
        format: The format that reads most of its first records.
        num_tried: Records tried.
        num_read: Records that the format reads.
        num_closed: Of these, questions with options.
        image_root: Folder under which most image paths lead to files; None where none does.
        num_images: Image paths tried.
        num_found: Paths found under that folder.
        classes: Labels of the records, where the format is made of classes.
        boxes: What boxes seem to mean, where there are any.
        image_folders: Folders of the images that were found.
        has_absolute: Whether image paths start at a root or a drive, which no image root can help.
    """

    path: Path
    format: str
    num_tried: int
    num_read: int
    num_closed: int
    image_root: Path | None
    num_images: int
    num_found: int
    classes: tuple[str, ...] = ()
    boxes: BoxGuess | None = None
    image_folders: frozenset[Path] = frozenset()
    has_absolute: bool = False

    @property
    def surety(self) -> str:
        """``sure``, ``likely`` or ``doubtful``: all, most or fewer of what was tried fits."""
        found = self.num_found / max(1, self.num_images)
        worst = min(self.num_read / self.num_tried, found)
        return "sure" if worst == 1 and self.num_tried >= 10 else "likely" if worst >= 0.8 else "doubtful"


def guess_file(path: Path, top: Path) -> FileGuess | None:
    """Guesses the format and the image folder of a data file.

    Args:
        path: The file.
        top: Folder in which its images are looked for first; then beside it, and beside the folder above.

    Returns:
        The guess, or None where no format reads any of its first records.
    """
    best: tuple[tuple[int, int], str, list[RawSample], int] | None = None
    for name in FORMATS:
        rows: list[RawSample | QuarantinedRow] = []
        # Damaged behind its first records: preparing will say so. What was read still tells the format.
        with contextlib.suppress(UserError):
            rows.extend(islice(get_reader(name)(path, subset="draft"), NUM_RECORDS_TRIED))
        samples = [row for row in rows if isinstance(row, RawSample)]
        # Of two formats that read all, the one that finds options has understood more.
        score = (len(samples), sum(sample.answer_kind == "closed" for sample in samples))
        if samples and (best is None or score > best[0]):
            best = (score, name, samples, len(rows))
    if best is None:
        return None
    (num_read, num_closed), name, samples, num_tried = best
    published = [image for sample in samples for image in sample.image_paths][:NUM_RECORDS_TRIED]
    root, num_found = _image_root(path, top, published)
    return FileGuess(
        path=path,
        format=name,
        num_tried=num_tried,
        num_read=num_read,
        num_closed=num_closed,
        image_root=root,
        num_images=len(published),
        num_found=num_found,
        classes=tuple(sorted({sample.label for sample in samples})) if name in MADE_QUESTIONS else (),
        boxes=guess_boxes(samples, root),
        image_folders=frozenset((root / image).parent for image in published) if root else frozenset(),
        has_absolute=any(image.startswith(("/", "\\", "~")) or image[1:2] == ":" for image in published),
    )


def _image_root(path: Path, top: Path, published: Sequence[str]) -> tuple[Path | None, int]:
    best, num_found = None, 0
    for root in _roots(path, top):
        num = sum(_is_there(root, image) for image in published)
        if num > num_found:
            best, num_found = root, num
        if num_found == len(published):
            break
    return best, num_found


def _roots(path: Path, top: Path) -> Iterator[Path]:
    """Folders to look in, nearest first: around the file, in folders of these, and the same above the top folder."""
    parents = [folder for folder in path.parents if folder.is_relative_to(top)]
    above = top.resolve().parents[:_NUM_FOLDERS_ABOVE]
    for folders in (parents, [folder for folder in above if folder != folder.parent]):
        yield from folders
        children = [child for folder in folders for child in _children(folder)]
        yield from children
        for child in children[:_MAX_ROOTS_TRIED]:
            yield from _children(child)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(item for item in folder.iterdir() if item.is_dir())[:_MAX_ROOTS_TRIED]
    except OSError:
        return []


def _is_there(root: Path, published: str) -> bool:
    try:
        return file_state(resolve_beneath(root, completed(root, published))) != ABSENT
    except ImageRefused:
        return False


def find_data_files(top: Path) -> list[Path]:
    """Lists files that may hold questions, without following links.

    Args:
        top: The folder.

    Raises:
        UserError: It is no folder.
    """
    if not top.is_dir():
        raise UserError(f"{top} is no folder", hint="give the folder that holds your question files and images")
    found: list[Path] = []
    for folder, folders, names in islice(os.walk(top), MAX_FOLDERS_VISITED):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder) / name for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES]
    return found[:MAX_DATA_FILES]
