"""Second step, run on Ray: opens a block of images and writes those that can be used into a pack."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from datasets_spec.errors import StorageError
from datasets_spec.images.file_state import FileState
from datasets_spec.images.files import resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.images.objects import read_ahead
from datasets_spec.packs.image_index import image_key, write_index
from datasets_spec.packs.pack_writer import Extent, PackFile, PackWriter
from datasets_spec.prepare.opening.attempts import MAX_ATTEMPTS, begin
from datasets_spec.prepare.opening.limited_process import LimitedProcess
from datasets_spec.prepare.opening.open_image import OpenedImage, find_image, open_image, open_mask
from datasets_spec.prepare.opening.wanted_images import ImagePlace, Places
from datasets_spec.storage.place import Place, S3Place, as_place

# A pack: large enough that a store has few, small enough that a task that is begun again loses little. Twice as much
# where files have one size.
MAX_BYTES_PER_PACK: Final = 128 * 1024 * 1024
MAX_IMAGES_PER_PACK: Final = 1024
# As many blocks at least, so that many processors share a small corpus; fewer images are not worth a task.
_MIN_BLOCKS: Final = 32
_MIN_IMAGES: Final = 32
OpenOne = Callable[[ImagePlace, Place, FileState], OpenedImage]


class OpeningOrder(NamedTuple):
    """A block of images.

    Args:
        numbers: Their numbers among all.
        places: Where they are published.
    """

    numbers: NDArray[np.int64]
    places: Sequence[ImagePlace]


class OpeningOrders(Sequence[OpeningOrder]):
    """Blocks of images, each made when it is handed out: places of all at once would take half a kilobyte each.

    Args:
        places: All images.
        blocks: Numbers of the images of every block.
    """

    def __init__(self, places: Places, blocks: Sequence[NDArray[np.int64]]) -> None:
        self._places, self._blocks = places, blocks

    @property
    def num_images(self) -> int:
        """Number of images in all blocks."""
        return sum(map(len, self._blocks))

    def __len__(self) -> int:
        return len(self._blocks)

    @overload
    def __getitem__(self, at: int) -> OpeningOrder: ...
    @overload
    def __getitem__(self, at: slice) -> list[OpeningOrder]: ...
    def __getitem__(self, at: int | slice) -> OpeningOrder | list[OpeningOrder]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        return OpeningOrder(self._blocks[at], self._places.of(self._blocks[at]))


class OpenedBlock(NamedTuple):
    """What became of a block.

    Args:
        stem: Name of its pack and index, without suffix; empty where it was given up.
        num_images: How many images it has.
        node: Where it was opened.
        failure: Why it was given up, where it was for want of a bucket.
    """

    stem: str
    num_images: int
    node: str
    failure: str | None = None


def divide(numbers: NDArray[np.int64], num_bytes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Cuts images into blocks, those of equal size in one: equal files are then written once.

    Args:
        numbers: The images.
        num_bytes: Size of the file of each.

    Yields:
        Numbers of the images of a block.
    """
    most = min(MAX_IMAGES_PER_PACK, max(_MIN_IMAGES, -(-len(numbers) // _MIN_BLOCKS)))
    order = np.lexsort((numbers, num_bytes))
    start, total, last = 0, 0, -1
    for end, size in enumerate(num_bytes[order].tolist()):
        num = end - start
        is_full = num >= most or total + size > MAX_BYTES_PER_PACK
        # Where thousands have one size, as uncompressed images do, they are cut all the same.
        is_too_full = num >= 2 * MAX_IMAGES_PER_PACK or total + size > 2 * MAX_BYTES_PER_PACK
        if num and is_full and (size != last or is_too_full):
            yield numbers[order[start:end]]
            start, total = end, 0
        total, last = total + size, size
    if start < len(order):
        yield numbers[order[start:]]


def open_block(order: OpeningOrder, *, packs: Place, staging: Place, limits: ImageLimits, opening: str) -> OpenedBlock:
    """Opens images and writes a pack and its index.

    A block whose process ended while it was here comes back: its images are then opened in a process of their own.

    Args:
        order: The images.
        packs: Folder of packs.
        staging: Folder of staged rows, where attempts are counted.
        limits: What an image may cost.
        opening: How images are opened.

    Returns:
        What became of it; a block that has ended its process :data:`MAX_ATTEMPTS` times is given up.
    """
    attempt = begin(staging, ["open", order.places[0].text, order.places[-1].text, len(order.places)])
    if attempt > MAX_ATTEMPTS:
        return OpenedBlock("", len(order.places), platform.node())
    try:
        if attempt == 1:
            with read_ahead(_objects(order.places), limits):
                stem = _open_all(order.places, partial(_open, limits=limits), packs, opening)
        else:
            with LimitedProcess(limits) as process:
                stem = _open_all(order.places, partial(_open_apart, process), packs, opening)
    except StorageError as error:
        # As a result, not as an exception: Ray would bury it under its own trace.
        return OpenedBlock("", len(order.places), platform.node(), str(error))
    return OpenedBlock(stem, len(order.places), platform.node())


def _objects(places: Sequence[ImagePlace]) -> Iterator[S3Place]:
    """Images that are objects of a bucket, in the order in which they are opened."""
    roots = {root: as_place(root) for root in {place.root for place in places}}
    for place in places:
        root = roots[place.root]
        if isinstance(root, S3Place):
            with suppress(ImageRefused):
                yield resolve_beneath(root, place.published)


def _open(place: ImagePlace, path: Place, state: FileState, *, limits: ImageLimits) -> OpenedImage:
    return (open_mask if place.is_mask else open_image)(path, state, limits)


def _open_apart(process: LimitedProcess, place: ImagePlace, path: Place, state: FileState) -> OpenedImage:
    return process.run(open_mask if place.is_mask else open_image, path, state)


def _open_all(places: Sequence[ImagePlace], open_one: OpenOne, packs: Place, opening: str) -> str:
    rows = []
    with PackWriter(packs) as pack:
        for place in places:
            found = find_image(place.root, place.published)
            image = found if isinstance(found, OpenedImage) else open_one(place, *found)
            stored = pack.append(image.pixel_hash, image.stored) if image.stored else None
            rows.append(facts_row(place, image, stored, opening))
        finished: PackFile | None = pack.finish()
        write_index(packs, pack.stem, rows, finished)
    return pack.stem


def facts_row(place: ImagePlace, image: OpenedImage, stored: Extent | None, opening: str) -> dict[str, Any]:
    """Returns what is kept of an image that was opened.

    Args:
        place: Where it is published.
        image: What was learned of it.
        stored: Where it lies in its pack; None if it was refused or is a mask.
        opening: How it was opened.
    """
    return {
        "key": image_key(place.text, image.state.num_bytes, image.state.mtime_ns, opening),
        "bytes_hash": image.bytes_hash,
        "pixel_hash": image.pixel_hash or None,
        "num_bytes": image.state.num_bytes,
        "mtime_ns": image.state.mtime_ns,
        "width": image.size[0],
        "height": image.size[1],
        "looks": list(image.looks),
        "mask_box": image.mask_box,
        "offset": stored and stored.offset,
        "length": stored and stored.num_bytes,
        "crc32": stored and stored.crc32,
        "reason": image.reason,
        "detail": image.detail,
    }
