"""Which images the rows show, each once, and which of them have not been opened before."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from datasets_spec.errors import ReaderError
from datasets_spec.images.files import FileState
from datasets_spec.images.limits import ImageLimits
from datasets_spec.packs.image_index import image_key, read_index
from datasets_spec.packs.pack_writer import INDEX_SUFFIX, PACKS, PackFile
from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.prepare.staged_rows import blocks_read, read_block

if TYPE_CHECKING:
    import pyarrow as pa

# Raised when an image is read, hashed, looked at or stored otherwise: none is then known from before.
_OPENING_VERSION: Final = 1
# Of a pack, less than this share of which is wanted, the wanted images are opened again: it can then be removed.
_LEAST_WANTED: Final = 0.5
_MASK: Final = "mask "


class ImagePlace(NamedTuple):
    """Where an image is published.

    Args:
        root: Folder of images.
        published: Path there.
        is_mask: Whether it is a mask, of which only the box is wanted.
    """

    root: str
    published: str
    is_mask: bool

    @property
    def text(self) -> str:
        """The same in one text."""
        return f"{_MASK * self.is_mask}{self.root}\0{self.published}"


class BlockOrder(NamedTuple):
    """A block of rows, and which images its rows show.

    Args:
        block: Its name.
        images: Numbers of the images of its rows, one row after the other.
        masks: Numbers of its rows' masks.
    """

    block: str
    images: Sequence[int]
    masks: Sequence[int]


class WantedImages(NamedTuple):
    """Images that rows show.

    Args:
        places: Each once, in the order of the rows that show them first.
        blocks: What finishing the blocks of rows takes; images are numbers of ``places``.
    """

    places: list[ImagePlace]
    blocks: list[BlockOrder]


@dataclass(kw_only=True, slots=True)
class KnownImages:
    """What is known of images from before.

    Args:
        packs: Packs that hold them, by name.
        tables: Facts as they were written, beside the name of their pack.
        rows: Of every wanted image that is known, the table and the row.
    """

    packs: dict[str, PackFile] = field(default_factory=dict)
    tables: list[tuple[str | None, pa.Table]] = field(default_factory=list)
    rows: dict[int, tuple[int, int]] = field(default_factory=dict)


def opening_of(limits: ImageLimits) -> str:
    """Returns what the facts of an image depend on beside its file, as a text.

    Args:
        limits: What an image may cost.
    """
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("pillow", "numpy")]
    if importlib.util.find_spec("pydicom") is not None:
        versions.append(f"pydicom {importlib.metadata.version('pydicom')}")
    return f"{_OPENING_VERSION}, {', '.join(versions)}, {limits.max_mpx:g} MPx, {limits.max_bytes} bytes"


def find_wanted(staging: Path, sources: Mapping[str, SubsetSource]) -> WantedImages:
    """Lists the images of all rows that are to be opened.

    Args:
        staging: Folder of staged rows, as they were read.
        sources: Subsets by name.

    Raises:
        ReaderError: Files could not be read; names all of them.
    """
    import pyarrow as pa

    names, failures = blocks_read(staging), list[str]()
    images: list[pa.LargeStringArray] = []
    masks: list[pa.LargeStringArray] = []
    roots = pa.table({"subset": list(sources), "root": [source.image_root for source in sources.values()]})
    for name in names:
        rows = read_block(staging, name, _COLUMNS)
        failures += _failures_of(rows)
        of_images, of_masks = _texts_of(rows, roots)
        images.append(of_images)
        masks.append(of_masks)
    if failures:
        raise ReaderError("\n".join(failures))
    encoded = pa.concat_arrays([pa.array([], pa.large_string()), *images, *masks]).dictionary_encode()
    ends = np.cumsum([len(array) for array in (*images, *masks)])
    numbers = [part.tolist() for part in np.split(encoded.indices.to_numpy(), ends)]
    blocks = [BlockOrder(*block) for block in zip(names, numbers, numbers[len(names) :], strict=False)]
    return WantedImages(places=[_place_of(text) for text in encoded.dictionary.to_pylist()], blocks=blocks)


_COLUMNS: Final = ["subset", "num_read", "failure", "reason", "image_paths", "mask_path"]


def _failures_of(rows: pa.Table) -> list[str]:
    if rows.column("failure").null_count == rows.num_rows:
        return []
    return [f"{row['subset']}: {row['failure']}" for row in rows.to_pylist() if row["failure"] is not None]


def _texts_of(rows: pa.Table, roots: pa.Table) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Texts of the images of a block's rows, and of their masks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_to_open = pc.and_(
        pc.and_(pc.is_null(rows.column("num_read")), pc.is_null(rows.column("failure"))),
        pc.is_null(rows.column("reason")),
    )
    rows = rows.filter(is_to_open).combine_chunks()
    own_roots = roots.column("root").take(pc.index_in(rows.column("subset"), value_set=roots.column("subset")))
    texts, own_roots = pa.large_string(), own_roots.cast(pa.large_string()).combine_chunks()

    def joined(prefix: Any, paths: Any) -> Any:
        return pc.binary_join_element_wise(prefix, paths.cast(texts), pa.scalar("\0", texts))

    paths, masks = rows.column("image_paths").combine_chunks(), rows.column("mask_path").combine_chunks()
    images = joined(own_roots.take(pc.list_parent_indices(paths)), pc.list_flatten(paths))
    with_mask = pc.is_valid(masks)
    mask_roots = pc.binary_join_element_wise(pa.scalar(_MASK, texts), own_roots.filter(with_mask), pa.scalar("", texts))
    return images, joined(mask_roots, masks.filter(with_mask))


def _place_of(text: str) -> ImagePlace:
    root, _, published = text.partition("\0")
    is_mask = root.startswith(_MASK)
    return ImagePlace(root.removeprefix(_MASK) if is_mask else root, published, is_mask)


def find_known(store_dir: Path, places: Sequence[ImagePlace], states: Sequence[FileState], opening: str) -> KnownImages:
    """Finds which images are in a pack already, as their files are now.

    Args:
        store_dir: The store.
        places: The images.
        states: Size and time of the file of each.
        opening: How images are opened, from :func:`opening_of`.
    """
    known = KnownImages()
    indexes = sorted((store_dir / PACKS).glob(f"[!.]*{INDEX_SUFFIX}"))
    if not indexes:
        return known
    numbers = {
        image_key(place.text, state.num_bytes, state.mtime_ns, opening): number
        for number, (place, state) in enumerate(zip(places, states, strict=True))
    }
    for path in indexes:
        index = read_index(path)
        if index is not None:
            _note_known(known, *index, numbers)
    return known


def _note_known(known: KnownImages, table: pa.Table, pack: PackFile | None, numbers: Mapping[bytes, int]) -> None:
    reasons, keys = table.column("reason").to_pylist(), table.column("key").to_pylist()
    found = {
        numbers[key]: row
        for row, (key, reason) in enumerate(zip(keys, reasons, strict=True))
        # What was refused may have been for want of time or memory: it is tried again.
        if reason is None and key in numbers and numbers[key] not in known.rows
    }
    if not found:
        return
    if pack is not None:
        offsets, lengths = (table.column(name).to_pylist() for name in ("offset", "length"))
        wanted = {offsets[row]: lengths[row] for row in found.values() if offsets[row] is not None}
        if sum(wanted.values()) < _LEAST_WANTED * pack.num_bytes:
            return
        known.packs[pack.name] = pack
    known.tables.append((pack.name if pack else None, table))
    known.rows.update({number: (len(known.tables) - 1, row) for number, row in found.items()})
