"""What was learned of images when they were opened: written beside every pack, so that none is opened twice.

An image is known by a key of where it lies, its size and time, and how it was opened: whatever of these changes, it is
opened again. The key is a hash, because folders on the way to an image may name patients.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from datasets_spec.packs.pack_writer import INDEX_SUFFIX, PackFile
from datasets_spec.storage.files import files_in, replace_file
from datasets_spec.storage.place import Place
from datasets_spec.storage.read_many import Range, read_many

if TYPE_CHECKING:
    import pyarrow as pa

KEY_BYTES: Final = 16
_PACK: Final = b"pack"
_OWNER_ONLY: Final = 0o600


def image_key(place: str, num_bytes: int, mtime_ns: int, opening: str) -> bytes:
    """Returns the key of an image.

    Args:
        place: Where it lies, and whether it is a mask.
        num_bytes: Size of its file.
        mtime_ns: When that was written.
        opening: How it is opened: versions and limits.
    """
    text = f"{opening}\0{num_bytes}\0{mtime_ns}\0{place}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


@cache
def facts_schema() -> pa.Schema:
    """Returns the Arrow schema of what is known of an image; where it was refused, ``reason`` says why."""
    import pyarrow as pa

    numbers = ("num_bytes", "mtime_ns", "width", "height", "offset", "length", "crc32")
    columns = {
        "key": pa.binary(KEY_BYTES),
        **dict.fromkeys(("bytes_hash", "pixel_hash"), pa.string()),
        **dict.fromkeys(numbers, pa.int64()),
        "looks": pa.list_(pa.int64()),
        "mask_box": pa.list_(pa.int64()),
        **dict.fromkeys(("reason", "detail"), pa.string()),
    }
    return pa.schema(list(columns.items()))


def write_index(folder: Place, stem: str, rows: Sequence[dict[str, Any]], pack: PackFile | None) -> None:
    """Writes what is known of the images of a pack; only its owner can read it.

    Args:
        folder: Folder of packs.
        stem: The pack's name without its suffix.
        rows: Mappings of :func:`facts_schema`.
        pack: The pack; None where no image was stored.
    """
    import pyarrow as pa

    about = {_PACK: json.dumps(pack and pack.model_dump()).encode()}
    table = pa.Table.from_pylist(list(rows), schema=facts_schema()).replace_schema_metadata(about)

    def write(path: Path) -> None:
        path.touch(mode=_OWNER_ONLY)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)

    replace_file(folder / (stem + INDEX_SUFFIX), write)


def read_indexes(folder: Place, stems: Iterable[str]) -> Iterator[tuple[pa.Table, PackFile | None] | None]:
    """Reads indexes, and compares the sizes of their packs.

    Args:
        folder: Folder of packs.
        stems: Their names without suffix.

    Yields:
        Of each, facts and their pack; None where index or pack is not as it was written.
    """
    import pyarrow as pa

    if not isinstance(folder, Path):
        num_bytes = files_in(folder)
        for data in read_many(Range(folder / (stem + INDEX_SUFFIX)) for stem in stems):
            yield None if data is None else _read(pa.BufferReader(data), num_bytes.get)
        return
    for stem in stems:
        try:
            # Mapped: of an index of many images few columns are looked at.
            with pa.memory_map(str(folder / (stem + INDEX_SUFFIX))) as source:
                yield _read(source, lambda name: (folder / name).stat().st_size)
        except OSError:
            yield None


def _read(source: pa.NativeFile, num_bytes_of: Callable[[str], int | None]) -> tuple[pa.Table, PackFile | None] | None:
    import pyarrow as pa

    try:
        table = pa.ipc.open_file(source).read_all()
        about = json.loads((table.schema.metadata or {})[_PACK])
        pack = None if about is None else PackFile.model_validate(about)
    except (ValueError, KeyError, pa.ArrowException):
        return None
    if pack is not None and num_bytes_of(pack.name) != pack.num_bytes:
        return None
    table = table.replace_schema_metadata(None)
    return (table, pack) if table.schema == facts_schema() else None
