"""Images by class, as most classification sets are kept: one folder a class, or a table of file and label.

- A folder: ``CLASS/any/folders/below/image.jpg``. Each image is a record, in the order of its path.
- A table (CSV, TSV, JSON lines, Parquet, JSON) of ``file`` and ``label``, and ``group`` where the patient is known. The
  usual other names of these columns are below; the ending of a file may be left out.

Every record becomes a closed question whose options are the classes; how it is put is said in ``wordings.yaml``.
"""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from datasets_spec.errors import ReaderError
from datasets_spec.nearest import nearest_of
from datasets_spec.readers.class_questions import (
    MOST_CHARACTERS,
    MOST_CLASSES,
    LabelledSubset,
    distinct_names,
    options_for,
    question_for,
)
from datasets_spec.readers.files import iter_records, rows_of
from datasets_spec.readers.image_files import IMAGE_SUFFIXES, class_folders, completed, find_images
from datasets_spec.readers.records import RowError, as_record, cells_of, first_cell, paths_of
from datasets_spec.sample import QuarantinedRow, QuarantineReason, RawSample, option_text_key
from datasets_spec.storage.place import Place, S3Place

_FILE_NAMES = (
    *("file", "image", "filename", "file_name", "image_path", "path", "filepath"),
    *("image_name", "image_id", "img", "id_code"),
)
_LABEL_NAMES = ("label", "class", "category", "diagnosis", "target", "dx")


def read_rows(path: Place, *, subset: str, about: LabelledSubset | None = None) -> Iterator[RawSample | QuarantinedRow]:
    """Yields every image of a folder, or every row of a table, as a sample or a quarantined row, in order.

    Args:
        path: A folder of class folders, or a table of file and label.
        subset: Name of the subset it belongs to.
        about: What the catalog says of it.

    Raises:
        ReaderError: It cannot be read, lies outside the image root, or has fewer than two classes.
    """
    about = about or LabelledSubset()
    if path.is_dir():
        prefix = _prefix(path, about.image_root)
        yield from _folder_rows(path, prefix, subset, about, _classes_of(path, about))
    else:
        yield from _table_rows(path, subset, about, _classes_of(path, about))


def _classes_of(path: Place, about: LabelledSubset) -> dict[str, str]:
    """Readable names of all classes of the subset, by what they are compared by."""
    labels: set[str] = set()
    files = tuple(dict.fromkeys((path, *about.files)))
    for file in files:
        labels |= _labels_of(file, about)
    if path.is_dir() and not labels:
        raise ReaderError(
            f"{path} holds no image in a folder of its class",
            hint=f"one folder a class, with files in {' '.join(IMAGE_SUFFIXES)}; or a table of file and label",
        )
    if all(file.is_dir() for file in files):  # a table's labels are text of rows, which no message may hold
        _require_no_misspelling(path, labels, about)
    classes = distinct_names(labels, about)
    if labels and len(classes) < 2:
        raise ReaderError(
            f"{path} has images of one class only, and a question needs two options at least",
            hint="name the classes that it lacks under `class_names` in the catalog, or leave the subset out",
        )
    if len(classes) > MOST_CLASSES:
        raise ReaderError(f"{path} has {len(classes)} classes", hint="a column of ids or free text is no label")
    return classes


def _require_no_misspelling(path: Place, labels: set[str], about: LabelledSubset) -> None:
    """Refuses a name for a class that is not there while one like it has none: it would be an option never right."""
    found = {unicodedata.normalize("NFC", label) for label in labels}
    unnamed = sorted(found - about.class_names.keys())
    for label in sorted(about.class_names.keys() - found) if labels else ():
        if (near := nearest_of(label, unnamed)) is not None:
            raise ReaderError(
                f"{path} has no class '{label}', which class_names names. Did you mean '{near}'?",
                hint="a class that no image has may be named once all others are",
            )


def _labels_of(file: Place, about: LabelledSubset) -> set[str]:
    if file.is_dir():
        return set(class_folders(file, about.image_root or file))
    found: set[str] = set()
    for record in iter_records(file):
        with contextlib.suppress(RowError):
            found.add(_label(_cells(record)))
    return found


def _folder_rows(
    top: Place, prefix: str, subset: str, about: LabelledSubset, classes: Mapping[str, str]
) -> Iterator[RawSample | QuarantinedRow]:
    for index, found in enumerate(find_images(top, about.image_root or top)):
        if found.error is not None:
            yield found.error.quarantined(top, subset, index)
            continue
        row = unicodedata.normalize("NFC", found.path)
        yield _sample(index, f"{prefix}{found.path}", found.label, row, about, classes)


def _prefix(top: Place, image_root: Place | None) -> str:
    """What stands before a path below the folder so that it starts from the image root."""
    root = top if image_root is None else image_root
    if isinstance(top, S3Place) or isinstance(root, S3Place):
        return _prefix_of_keys(top, root)
    real, real_root = os.path.realpath(top), os.path.realpath(root)
    if os.path.commonpath((real, real_root)) != real_root:
        raise ReaderError(
            f"the folder {top} lies outside the image root {root}",
            hint="correct pool, test or image_root in the catalog",
        )
    named, named_root = os.path.abspath(top), os.path.abspath(root)
    is_named = os.path.commonpath((named, named_root)) == named_root
    below = os.path.relpath(named, named_root) if is_named else os.path.relpath(real, real_root)
    return "" if below == "." else f"{below}/"


def _prefix_of_keys(top: Place, root: Place) -> str:
    """The same in a bucket, where the image root must be above the folder as it is written."""
    if isinstance(top, S3Place) and isinstance(root, S3Place) and root.bucket == top.bucket:
        above, key = (f"{place.key}/" if place.key else "" for place in (root, top))
        if key.startswith(above):
            return key[len(above) :]
    raise ReaderError(
        f"the folder {top} lies outside the image root {root}", hint="correct pool, test or image_root in the catalog"
    )


def _table_rows(
    path: Place, subset: str, about: LabelledSubset, classes: Mapping[str, str]
) -> Iterator[RawSample | QuarantinedRow]:
    def build(index: int, record: dict[str, Any]) -> RawSample:
        cells = _cells(record)
        (image,) = _images(cells)
        place = image if about.image_root is None else completed(about.image_root, image)
        return _sample(index, place, _label(cells), image, about, classes)

    return rows_of(path, subset, build)


def _sample(
    index: int,
    image: str,
    label: str,
    row: str,
    about: LabelledSubset,
    classes: Mapping[str, str],
) -> RawSample:
    answer = classes[option_text_key(about.name_of(label))]
    options = options_for(answer, tuple(classes.values()), row)
    return RawSample(
        index=index,
        question=question_for(about, row),
        options=options,
        answer_index=options.index(answer),
        answer=answer,
        answer_kind="closed",
        label=answer,
        image_paths=(image,),
    )


def _cells(record: Any) -> dict[str, Any]:
    if isinstance(record, RowError):
        raise record
    cells = cells_of(as_record(record))
    if "question" in cells:
        raise RowError(QuarantineReason.malformed_row, "has a question of its own: see the format 'table'")
    return cells


def _images(cells: dict[str, Any]) -> tuple[str, ...]:
    paths = paths_of(next((cells[name] for name in _FILE_NAMES if cells.get(name)), []))
    if len(paths) > 1:
        raise RowError(QuarantineReason.image_count_mismatch, f"{len(paths)} images in one row")
    return paths


def _label(cells: dict[str, Any]) -> str:
    label = first_cell(cells, _LABEL_NAMES)
    if label is None:
        raise RowError(QuarantineReason.empty_answer, "no label")
    if len(label) > MOST_CHARACTERS:
        raise RowError(QuarantineReason.malformed_row, f"a label of {len(label)} characters")
    return label
