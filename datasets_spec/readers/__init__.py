"""One reader a published file format; each turns every record into a sample or a quarantined row."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from typing import Protocol, cast

from datasets_spec.errors import UserError
from datasets_spec.nearest import nearest_of
from datasets_spec.readers.class_questions import LabelledSubset
from datasets_spec.sample import QuarantinedRow, RawSample
from datasets_spec.storage.place import Place

_MODULES = {
    "med_mat": "datasets_spec.readers.med_mat",
    "med_mim": "datasets_spec.readers.med_mim",
    "llava": "datasets_spec.readers.llava",
    "sharegpt": "datasets_spec.readers.sharegpt",
    "hf_messages": "datasets_spec.readers.hf_messages",
    "table": "datasets_spec.readers.table",
    "image_folder": "datasets_spec.readers.image_folder",
}
# Their questions are made by what the catalog says of the subset; all others bring theirs.
MADE_QUESTIONS = ("image_folder",)


FORMATS = tuple(_MODULES)


class Reader(Protocol):
    """Reads one file of a format."""

    def __call__(self, path: Place, *, subset: str) -> Iterator[RawSample | QuarantinedRow]:
        """Yields every record of a file, in order.

        Args:
            path: The file.
            subset: Name of the subset it belongs to.
        """
        ...


def get_reader(format_name: str, about: LabelledSubset | None = None) -> Reader:
    """Returns the reader of a format.

    Args:
        format_name: One of ``FORMATS``.
        about: What the catalog says of the subset, for formats of ``MADE_QUESTIONS``.

    Raises:
        UserError: There is no such format; names the nearest.
    """
    if format_name not in _MODULES:
        near = nearest_of(format_name, _MODULES)
        raise UserError(
            f"no reader for the format '{format_name}'" + (f". Did you mean '{near}'?" if near else ""),
            hint=f"formats: {', '.join(_MODULES)}",
        )
    read_rows = importlib.import_module(_MODULES[format_name]).read_rows
    return cast(Reader, functools.partial(read_rows, about=about) if format_name in MADE_QUESTIONS else read_rows)
