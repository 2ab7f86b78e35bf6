"""A first catalog for a folder nobody has described: formats and image folders guessed, and how sure the guess is."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from datasets_spec.errors import UserError
from datasets_spec.images.files import ABSENT, file_state, resolve_beneath
from datasets_spec.images.limits import ImageRefused
from datasets_spec.readers import FORMATS, get_reader
from datasets_spec.readers.files import SUFFIXES
from datasets_spec.sample import QuarantinedRow, RawSample

NUM_RECORDS_TRIED = 64
# A folder of images may hold millions of files; data files lie near the top of what people call a data set.
MAX_FOLDERS_VISITED = 5_000
MAX_DATA_FILES = 200
_MAX_ROOTS_TRIED = 60
_TEST_WORDS = re.compile(r"(?:^|[-_. ])(?:test|testing|benchmark|held[-_]?(?:in|out))(?=$|[-_. ])", re.IGNORECASE)
_SPLIT_WORDS = re.compile(
    r"(?:^|[-_. ])(?:train|training|val|valid|validation|dev|test|testing)(?=$|[-_. ])", re.IGNORECASE
)
# Words of paths, in Med-MAT's vocabulary (arXiv 2412.20070); a word that is not here is left to the user.
_MODALITIES = {
    "ct": "CT", "mri": "MRI", "mr": "MRI", "xray": "X-ray", "x-ray": "X-ray", "cxr": "X-ray", "mammo": "X-ray",
    "ultrasound": "US", "us": "US", "oct": "OCT", "fundus": "FP", "dermoscopy": "Der", "histology": "Mic",
    "pathology": "Mic", "endoscopy": "End",
}  # fmt: skip
_AREAS = {
    "lung": "Lung", "chest": "Chest", "cxr": "Chest", "brain": "Brain", "breast": "Breast", "mammo": "Breast",
    "kidney": "Kidney", "liver": "Liver", "skin": "Skin", "fundus": "Fundus", "retina": "Retina", "bone": "Bones",
    "bones": "Bones", "thyroid": "Thyroid", "bladder": "Bladder", "cell": "Cell", "mouth": "Mouth",
}  # fmt: skip


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
    """

    path: Path
    format: str
    num_tried: int
    num_read: int
    num_closed: int
    image_root: Path | None
    num_images: int
    num_found: int

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
        top: Folder beneath which its images are looked for.

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
    )


def _image_root(path: Path, top: Path, published: Sequence[str]) -> tuple[Path | None, int]:
    found = {root: sum(_is_there(root, image) for image in published) for root in _roots(path, top)}
    best = max(found, key=lambda root: found[root], default=None)
    return (best, found[best]) if best is not None and found[best] else (None, 0)


def _roots(path: Path, top: Path) -> Iterator[Path]:
    parents = [folder for folder in path.parents if folder.is_relative_to(top)]
    yield from parents
    for folder in parents:
        yield from islice(sorted(item for item in folder.iterdir() if item.is_dir()), _MAX_ROOTS_TRIED)


def _is_there(root: Path, published: str) -> bool:
    try:
        return file_state(resolve_beneath(root, published)) != ABSENT
    except ImageRefused:
        return False


def find_data_files(top: Path) -> list[Path]:
    """Lists files that may hold questions, without following links.

    Args:
        top: The folder.

    Raises:
        UserError: It is no folder, or holds none.
    """
    if not top.is_dir():
        raise UserError(f"{top} is no folder", hint="give the folder that holds your question files and images")
    found: list[Path] = []
    for folder, folders, names in islice(os.walk(top), MAX_FOLDERS_VISITED):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder) / name for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES]
    if not found:
        raise UserError(f"{top} holds no data file", hint=f"looked for {', '.join(SUFFIXES)}")
    return found[:MAX_DATA_FILES]


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A drafted catalog.

    Args:
        text: The YAML text.
        guesses: What it was drafted from.
        unread: Data files that no format reads.
    """

    text: str
    guesses: tuple[FileGuess, ...]
    unread: tuple[Path, ...]


def draft_catalog(top: Path) -> Draft:
    """Drafts a catalog; modality, area and task are left empty where the path does not say them.

    An empty field is refused when the catalog is loaded, with its line: a guess that is wrong would make unrelated
    subsets related.

    Args:
        top: Folder of question files and images.

    Raises:
        UserError: Nothing in it can be read.
    """
    files = find_data_files(top)
    guesses = {path: guess_file(path, top) for path in files}
    read = [guess for guess in guesses.values() if guess is not None]
    unread = [path for path, guess in guesses.items() if guess is None]
    if not read:
        raise UserError(
            f"no file in {top} is in a format that Recombine reads",
            hint=f"formats: {', '.join(FORMATS)}; the reference is docs/study-file.md",
        )
    lines = [
        "# Drafted from what was found; fill in the empty fields, and correct what is guessed wrong.",
        f"name: {json.dumps(top.resolve().name or 'drafted')}",
        "subsets:",
    ]
    for name, members in _subsets(read, top):
        lines += _subset_lines(name, members, top)
    lines += [f"# not read: {path.relative_to(top).as_posix()}" for path in unread]
    return Draft(text="\n".join(lines) + "\n", guesses=tuple(read), unread=tuple(unread))


def _subsets(guesses: Iterable[FileGuess], top: Path) -> list[tuple[str, list[FileGuess]]]:
    """Joins files whose names differ in the name of a split only."""
    joined: dict[tuple[str, str, Path | None], list[FileGuess]] = {}
    for guess in guesses:
        stem = _SPLIT_WORDS.sub("", guess.path.stem) or guess.path.parent.name
        where = guess.path.parent.relative_to(top).as_posix()
        name = re.sub(r"[^a-z0-9_.-]+", "-", f"{'' if where == '.' else where + '-'}{stem}".lower()).strip("-._")
        joined.setdefault((name or "subset", guess.format, guess.image_root), []).append(guess)
    taken: dict[str, int] = {}
    named = []
    for (name, _, _), members in joined.items():
        number = taken[name] = taken.get(name, 0) + 1
        named.append((name[:90] if number == 1 else f"{name[:90]}-{number}", members))
    return named


def _subset_lines(name: str, members: Sequence[FileGuess], top: Path) -> list[str]:
    first = members[0]
    words = re.split(r"[^a-z0-9-]+|-", first.path.relative_to(top).as_posix().lower())
    words += re.findall(r"x-ray", first.path.as_posix().lower())
    lines = [f"  - name: {json.dumps(name)}"]
    for field, table in (("modality", _MODALITIES), ("area", _AREAS), ("task", {})):
        known = next((table[word] for word in words if word in table), None)
        lines.append(f"    {field}: {known}  # guessed from the path" if known else f"    {field}:  # fill in")
    lines.append(f"    format: {first.format}  # {first.surety}")
    for role, is_test in (("pool", False), ("test", True)):
        files = [guess for guess in members if bool(_TEST_WORDS.search(guess.path.stem)) == is_test]
        if files:
            listed = ", ".join(json.dumps(guess.path.relative_to(top).as_posix()) for guess in files)
            lines.append(f"    {role}: [{listed}]")
    for guess in members:
        lines.append(
            f"    # {guess.path.name}: of its first {guess.num_tried} records {guess.num_read} read, "
            f"{guess.num_closed} with options; {guess.num_found} of {guess.num_images} images found"
        )
    if first.image_root is None:
        lines.append("    image_root:  # fill in: no folder here holds its images")
    elif first.image_root != top:
        lines.append(f"    image_root: {json.dumps(first.image_root.relative_to(top).as_posix())}")
    return lines
