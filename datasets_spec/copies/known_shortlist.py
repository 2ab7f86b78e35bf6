"""The last list of images that look alike, kept for when nothing of it changed, as under another seed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from datasets_spec.copies.shortlist import Indexes, Shortlist, shortlist
from datasets_spec.storage.files import replace_file, whole
from datasets_spec.storage.place import Place

if TYPE_CHECKING:
    from datasets_spec.copies.looks import Looks

SHORTLIST_NAME: Final = "shortlist.arrow"
# Raised when the same looks may lead to another list.
_LISTING_VERSION: Final = 1


def known_shortlist(looks: Looks, *, with_mirrored: bool, tied: Indexes, store_dir: Place) -> Shortlist:
    """Returns what :func:`shortlist` does, from the store's file if that is of the same looks, and keeps it there.

    Args:
        looks: Looks (n, 2, 80) of distinct images.
        with_mirrored: Also find mirrored copies.
        tied: A number for every image; images of one number are not paired.
        store_dir: The store.
    """
    digest = hashlib.blake2b(f"{_LISTING_VERSION}\0{with_mirrored}\0{len(looks)}\0".encode(), digest_size=16)
    for numbers in (looks, tied):
        digest.update(np.ascontiguousarray(numbers).tobytes())
    key, path = digest.hexdigest().encode(), store_dir / SHORTLIST_NAME
    found = _read(path, key)
    if found is None:
        found = shortlist(looks, with_mirrored=with_mirrored, tied=tied)
        _write(path, key, found)
    return found


def _read(path: Place, key: bytes) -> Shortlist | None:
    """The list of a key; nothing where there is no file, none that can be read, or one of other looks."""
    import pyarrow as pa

    try:
        with whole(path) as source:
            table = pa.ipc.open_file(source).read_all()
        metadata = table.schema.metadata or {}
        if metadata[b"key"] != key:
            return None
        first, second = (table.column(name).to_numpy() for name in ("first", "second"))
        return Shortlist(first=first, second=second, num_cut=int(metadata[b"num_cut"]))
    except (OSError, pa.ArrowException, KeyError):
        return None


def _write(path: Place, key: bytes, found: Shortlist) -> None:
    import pyarrow as pa

    metadata = {b"key": key, b"num_cut": str(found.num_cut).encode()}
    table = pa.table({"first": found.first, "second": found.second}).replace_schema_metadata(metadata)

    def write(partial: Path) -> None:
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)

    replace_file(path, write)
