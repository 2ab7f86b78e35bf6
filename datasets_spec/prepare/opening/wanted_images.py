"""Which images the rows show, each once."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from datasets_spec.errors import ReaderError
from datasets_spec.images.limits import ImageLimits
from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.prepare.staged_rows import blocks_read, read_block
from datasets_spec.storage.place import Place

if TYPE_CHECKING:
    import pyarrow as pa

# Raised when an image is read, hashed, looked at or stored otherwise: none is then known from before.
_OPENING_VERSION: Final = 1
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


class Places(Sequence[ImagePlace]):
    """Places of images, each made when it is asked for.

    Args:
        texts: What :attr:`ImagePlace.text` says of each, as an Arrow array of large strings.
    """

    def __init__(self, texts: pa.LargeStringArray) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, at: int) -> ImagePlace: ...
    @overload
    def __getitem__(self, at: slice) -> list[ImagePlace]: ...
    def __getitem__(self, at: int | slice) -> ImagePlace | list[ImagePlace]:
        if isinstance(at, slice):
            return self.of(range(*at.indices(len(self))))
        return _place_of(self.texts[at].as_py())

    def of(self, numbers: Sequence[int] | NDArray[np.integer]) -> list[ImagePlace]:
        """Returns some places.

        Args:
            numbers: Their numbers.
        """
        import pyarrow as pa

        return [_place_of(text) for text in self.texts.take(pa.array(numbers, pa.int64())).to_pylist()]

    def roots_and_paths(self) -> tuple[pa.Array, pa.Array]:
        """Returns the folders of all images, and their paths there."""
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = pc.list_flatten(pc.split_pattern(self.texts, "\0", max_splits=1))
        roots, paths = (parts.take(pa.array(np.arange(start, len(parts), 2))) for start in (0, 1))
        roots = pc.replace_substring_regex(roots, f"^{_MASK}", "").dictionary_encode()
        return roots.cast(pa.dictionary(pa.int32(), pa.string())), paths.cast(pa.string())


class BlockOrder(NamedTuple):
    """A block of rows, and which images its rows show.

    Args:
        block: Its name.
        images: Numbers of the images of its rows, one row after the other.
        masks: Numbers of its rows' masks.
    """

    block: str
    images: NDArray[np.int32]
    masks: NDArray[np.int32]


class WantedImages(NamedTuple):
    """Images that rows show.

    Args:
        places: Each once, in the order of the rows that show them first.
        blocks: What finishing the blocks of rows takes; images are numbers of ``places``.
    """

    places: Places
    blocks: list[BlockOrder]


def opening_of(limits: ImageLimits) -> str:
    """Returns what the facts of an image depend on beside its file, as a text.

    Args:
        limits: What an image may cost.
    """
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("pillow", "numpy")]
    if importlib.util.find_spec("pydicom") is not None:
        versions.append(f"pydicom {importlib.metadata.version('pydicom')}")
    return f"{_OPENING_VERSION}, {', '.join(versions)}, {limits.max_mpx:g} MPx, {limits.max_bytes} bytes"


def find_wanted(staging: Place, sources: Mapping[str, SubsetSource]) -> WantedImages:
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
    ends = np.cumsum([len(array) for array in (*images, *masks)])
    whole = pa.concat_arrays([pa.array([], pa.large_string()), *images, *masks])
    del images, masks
    encoded = whole.dictionary_encode()
    numbers = np.split(encoded.indices.to_numpy(), ends)
    blocks = [BlockOrder(*block) for block in zip(names, numbers, numbers[len(names) :], strict=False)]
    return WantedImages(places=Places(encoded.dictionary), blocks=blocks)


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
