"""A first catalog for a folder nobody has described, every guess with how sure it is."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from datasets_spec.catalog.draft_files import (
    MAX_DATA_FILES,
    MAX_FOLDERS_VISITED,
    SPLIT_WORDS,
    TEST_WORDS,
    FileGuess,
    find_data_files,
    guess_file,
)
from datasets_spec.catalog.draft_folders import FolderGuess, find_folders
from datasets_spec.catalog.draft_keys import ELEMENTS, guess_key
from datasets_spec.errors import UserError
from datasets_spec.readers import FORMATS

_MOST_CLASSES_SHOWN = 8
# YAML 1.1, 5.1: what may not stand in a file as it is; line separators would end the line.
_UNPRINTABLE = re.compile(
    "[^\\x20-\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A drafted catalog.

    Args:
        text: The YAML text.
        guesses: Data files that it was drafted from.
        folders: Folders of classes that it was drafted from.
        unread: Data files that no format reads.
    """

    text: str
    guesses: tuple[FileGuess, ...]
    folders: tuple[FolderGuess, ...]
    unread: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where the data lie and where the catalog will."""

    top: Path
    base: Path

    def path(self, path: Path) -> str:
        """Returns a path as the catalog must write it."""
        return _quoted(Path(os.path.relpath(path.resolve(), self.base)).as_posix())

    def names(self, path: Path) -> str:
        """Returns what names say of a path: the data's own folder and what lies below it."""
        below = path.relative_to(self.top).as_posix()
        return self.top.resolve().name if below == "." else f"{self.top.resolve().name}/{below}"

    def below(self, path: Path) -> str:
        """Returns where a path lies in the data's folder; for the folder itself, its name."""
        return self.top.resolve().name if path == self.top else path.relative_to(self.top).as_posix()


def draft_catalog(top: Path, base: Path | None = None) -> Draft:
    """Drafts a catalog; modality, area and task are left empty where no name says them.

    An empty field is refused when the catalog is loaded, with its line: a guess that is wrong would make unrelated
    subsets related.

    Args:
        top: Folder of question files and images, or of images by class.
        base: Folder that the catalog will be in, from which its paths start; ``top`` by default.

    Raises:
        UserError: Nothing in it can be read.
    """
    files = find_data_files(top)
    guesses = {path: guess_file(path, top) for path in files}
    read = [guess for guess in guesses.values() if guess is not None]
    unread = tuple(path for path, guess in guesses.items() if guess is None)
    # Folders whose images a table names already are that table's.
    named = {folder.resolve() for guess in read for folder in guess.image_folders}
    folders = [found for found in find_folders(top) if not named & _class_folders(found)]
    if not read and not folders:
        raise UserError(
            f"no file in {top} is in a format that Recombine reads, and no folder holds images by class",
            hint=f"formats: {', '.join(FORMATS)}; the reference is docs/study-file.md",
        )
    place = _Place(top=top, base=(base or top).resolve())
    lines = [
        "# Drafted from what was found; fill in the empty fields, and correct what is guessed wrong.",
        "# sure: all that was tried fits; likely: a name says it, or most fits; doubtful: look at it.",
        f"name: {_quoted(top.resolve().name or 'drafted')}",
        "subsets:",
    ]
    taken: dict[str, int] = {}
    for name, members in _subsets(read, top):
        lines += _file_lines(_untaken(name, taken), members, place)
    for found in folders:
        lines += _folder_lines(_untaken(_subset_name(place.below(found.place)), taken), found, place)
    lines += [f"# not read: {_quoted(path.relative_to(top).as_posix())}" for path in unread]
    lines += _cut_lines(top, files)
    return Draft(text="\n".join(lines) + "\n", guesses=tuple(read), folders=tuple(folders), unread=unread)


def _cut_lines(top: Path, files: Sequence[Path]) -> list[str]:
    lines = []
    if next(islice(os.walk(top), MAX_FOLDERS_VISITED, None), None) is not None:
        lines.append(
            f"# only the first {MAX_FOLDERS_VISITED} folders were looked into: draft parts of it by themselves"
        )
    if len(files) == MAX_DATA_FILES:
        lines.append(f"# only the first {MAX_DATA_FILES} data files were looked at: draft parts of it by themselves")
    return lines


def _class_folders(found: FolderGuess) -> set[Path]:
    return {(folder / label).resolve() for folder in found.folders for label in found.classes}


def _subsets(guesses: Iterable[FileGuess], top: Path) -> list[tuple[str, list[FileGuess]]]:
    """Joins files whose names differ in the name of a split only."""
    joined: dict[tuple[str, str, Path | None], list[FileGuess]] = {}
    for guess in guesses:
        stem = SPLIT_WORDS.sub("", guess.path.stem)
        where = guess.path.parent.relative_to(top).as_posix()
        parts = [part for part in ("" if where == "." else where, stem) if part]
        name = _subset_name("-".join(parts) or top.resolve().name)
        joined.setdefault((name, guess.format, guess.image_root), []).append(guess)
    return [(name, members) for (name, _, _), members in joined.items()]


def _subset_name(text: str) -> str:
    return re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-._")[:90] or "subset"


def _untaken(name: str, taken: dict[str, int]) -> str:
    number = taken[name] = taken.get(name, 0) + 1
    return name if number == 1 else _untaken(f"{name}-{number}", taken)


def _file_lines(name: str, members: Sequence[FileGuess], place: _Place) -> list[str]:
    first = members[0]
    classes = sorted({label for guess in members for label in guess.classes})
    lines = [f"  - name: {_quoted(name)}", *_key_lines(place.names(first.path), classes)]
    lines.append(f"    format: {first.format}  # {first.surety}")
    lines += _role_lines([guess.path for guess in members], place)
    for guess in members:
        lines.append(
            f"    # {_quoted(guess.path.name)}: of its first {guess.num_tried} records "
            f"{guess.num_read} read, {guess.num_closed} with options; {guess.num_found} of {guess.num_images} images "
            "found"
        )
    if first.image_root is None and first.has_absolute:
        lines.append(
            "    image_root:  # fill in, and write its image paths, which are absolute, relative to that folder"
        )
    elif first.image_root is None:
        lines.append("    image_root:  # fill in: its images were found neither here nor beside")
    elif first.image_root.resolve() != place.base:
        found = first.num_found / max(1, first.num_images)
        surety = "sure" if found == 1 else "likely" if found >= 0.8 else "doubtful"
        lines.append(f"    image_root: {place.path(first.image_root)}  # {surety}")
    return lines + _box_lines(first) + _class_lines(classes)


def _folder_lines(name: str, found: FolderGuess, place: _Place) -> list[str]:
    lines = [f"  - name: {_quoted(name)}", *_key_lines(place.names(found.place), found.classes)]
    shown = ", ".join(_quoted(label) for label in found.classes[:_MOST_CLASSES_SHOWN])
    more = f" and {len(found.classes) - _MOST_CLASSES_SHOWN} more" if len(found.classes) > _MOST_CLASSES_SHOWN else ""
    lines.append(f"    format: image_folder  # {found.surety}: {len(found.classes)} classes, {shown}{more}")
    if found.looks_like_patients:
        lines.append("    # their names look like patients or series: if they are, this is no set of classes")
    lines += _role_lines(list(found.folders), place)
    lines.append(f"    image_root: {place.path(found.place)}  # sure")
    return lines + _class_lines(found.classes)


def _key_lines(path: str, classes: Sequence[str]) -> list[str]:
    found = guess_key(path, classes)
    lines = []
    for element in ELEMENTS:
        guess = found.get(element)
        told = "  # fill in" if guess is None else f" {guess.value}  # {guess.surety}: {guess.why}"
        lines.append(f"    {element}:{told}")
    return lines


def _role_lines(paths: Sequence[Path], place: _Place) -> list[str]:
    lines = []
    for role, is_test in (("pool", False), ("test", True)):
        members = [path for path in paths if bool(TEST_WORDS.search(path.stem)) == is_test]
        if members:
            lines.append(f"    {role}: [{', '.join(map(place.path, members))}]")
    if len(lines) == 1 and "test:" in lines[0]:
        lines.append("    # test rows are sealed; to make it a target, divide them:")
        lines.append("    # shares: {train: 0, search: 0.3, confirm: 0.3, sealed: 0.4}")
    return lines


def _box_lines(guess: FileGuess) -> list[str]:
    boxes = guess.boxes
    if boxes is None:
        return []
    lines = ["    answer_kind: box  # likely: the answers are four numbers"] if boxes.in_words else []
    if boxes.form is None:
        return [*lines, f"    box_form:  # fill in: {boxes.why}"]
    return [*lines, f"    box_form: {boxes.form}  # {boxes.surety}: {boxes.why}"]


def _class_lines(classes: Sequence[str]) -> list[str]:
    numbers = [label for label in classes if label.strip().isdecimal()]
    if not numbers:
        return []
    told = ", ".join(f'"{label.strip()}": ' for label in numbers[:_MOST_CLASSES_SHOWN])
    return [f"    # the classes are numbers; say what they mean:  class_names: {{{told}}}"]


def _quoted(text: str) -> str:
    """A text as YAML and JSON both read it: in double quotes, without characters that YAML does not take raw."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))
