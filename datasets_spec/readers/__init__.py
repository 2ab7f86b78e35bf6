"""One reader a published file format; each turns every record into a sample or a quarantined row."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

from datasets_spec.errors import UserError
from datasets_spec.nearest import nearest_of
from datasets_spec.sample import QuarantinedRow, RawSample

_MODULES = {
    "med_mat": "datasets_spec.readers.med_mat",
    "med_mim": "datasets_spec.readers.med_mim",
    "llava": "datasets_spec.readers.llava",
    "sharegpt": "datasets_spec.readers.sharegpt",
    "hf_messages": "datasets_spec.readers.hf_messages",
    "table": "datasets_spec.readers.table",
}


FORMATS = tuple(_MODULES)


class Reader(Protocol):
    """Reads one file of a format."""

    def __call__(self, path: Path, *, subset: str) -> Iterator[RawSample | QuarantinedRow]:
        """Yields every record of a file, in order.

        Args:
            path: The file.
            subset: Name of the subset it belongs to.
        """
        ...


def get_reader(format_name: str) -> Reader:
    """Returns the reader of a format.

    Args:
        format_name: One of ``FORMATS``.

    Raises:
        UserError: There is no such format; names the nearest.
    """
    if format_name not in _MODULES:
        near = nearest_of(format_name, _MODULES)
        raise UserError(
            f"no reader for the format '{format_name}'" + (f". Did you mean '{near}'?" if near else ""),
            hint=f"formats: {', '.join(_MODULES)}",
        )
    return cast(Reader, importlib.import_module(_MODULES[format_name]).read_rows)
