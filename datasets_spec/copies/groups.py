"""Groups of images that show the same picture: found by their looks, confirmed by their pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from datasets_spec.images.decode import decode
from datasets_spec.images.files import read_image, resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused

if TYPE_CHECKING:
    from PIL import Image

# What is compared has 96 pixels a side, of at most 85 % of an image; four times that keeps every detail of it.
_MAX_SIDE = 384
# Thumbnails of 147 KB at most: 75 MB a task.
_NUM_REMEMBERED = 512
# A task of some seconds; its images are opened by it alone.
PAIRS_PER_CHUNK = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenImage:
    """An image of a usable row.

    Args:
        numbers: Its looks as :func:`perceptual_hash.as_numbers` gives them.
        root: Folder beneath which it lies.
        published: Its path there.
    """

    numbers: Sequence[int]
    root: str
    published: str


class CopySearch(BaseModel):
    """How the search for copies went.

    Args:
        num_images: Distinct images.
        num_flat: Of one grey, which have no looks; copies of these are found by their pixels only.
        num_shortlisted: Pairs that look alike.
        num_compared: Pairs compared by pixels; those already known to show one picture need no comparison.
        num_copies: Pairs of these that show the same picture.
        num_cut: Images with more lookalikes than were followed.
        largest_group: Images in the largest group of copies; all of them are in one split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_images: int = 0
    num_flat: int = 0
    num_shortlisted: int = 0
    num_compared: int = 0
    num_copies: int = 0
    num_cut: int = 0
    largest_group: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PairChunk:
    """Pairs that are compared by one task.

    Args:
        images: Images by name.
        pairs: Names of both images of every pair, most alike first.
        limits: What opening an image may cost.
        flips: Whether a mirrored image shows the same picture.
    """

    images: dict[str, SeenImage]
    pairs: tuple[tuple[str, str], ...]
    limits: ImageLimits
    flips: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedChunk:
    """What became of a chunk.

    Args:
        num_compared: Pairs compared; those tied by others of the chunk need no comparison.
        copies: Pairs that show the same picture.
    """

    num_compared: int
    copies: tuple[tuple[str, str], ...]


def group_copies(
    images: Mapping[str, SeenImage],
    *,
    limits: ImageLimits,
    flips: bool = False,
    on_event: Callable[[str], None] | None = None,
    compare_chunks: Callable[[Sequence[PairChunk]], Iterable[ComparedChunk]] | None = None,
) -> tuple[dict[str, str], CopySearch]:
    """Groups images that show the same picture.

    Args:
        images: Images by pixel hash.
        limits: What opening one may cost.
        flips: Whether a mirrored image shows the same picture.
        on_event: Told how far it is.
        compare_chunks: Compares chunks of pairs, in any order, as :func:`compare_chunk` does; one after the other by
            default. The answer does not depend on it.

    Returns:
        For every image that has a copy the name of its group, and how the search went.
    """
    from datasets_spec.copies.perceptual_hash import from_numbers
    from datasets_spec.copies.shortlist import shortlist

    names = sorted(name for name, image in images.items() if image.numbers)
    num_flat = len(images) - len(names)
    if len(names) < 2:
        return {}, CopySearch(num_images=len(images), num_flat=num_flat)
    pairs = shortlist(from_numbers([images[name].numbers for name in names]), with_mirrored=flips)
    if on_event is not None and len(pairs.first):
        on_event(f"{len(pairs.first)} pairs of {len(images)} images look alike; comparing their pixels")
    listed = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    chunks = _chunks([(names[one], names[two]) for one, two in listed], images, limits, flips)
    compared = list((compare_chunks or _one_by_one)(chunks))
    ties = Ties()
    for one, two in (pair for chunk in compared for pair in chunk.copies):
        ties.tie(one, two)
    groups = {name: ties.root(name) for name in names}
    sizes = Counter(groups.values())
    num_copies = sum(len(chunk.copies) for chunk in compared)
    search = CopySearch(
        num_images=len(images),
        num_flat=num_flat,
        num_shortlisted=len(pairs.first),
        num_compared=sum(chunk.num_compared for chunk in compared),
        num_copies=num_copies,
        num_cut=pairs.num_cut,
        largest_group=max(sizes.values()) if num_copies else 0,
    )
    return {name: group for name, group in groups.items() if sizes[group] > 1}, search


class Ties:
    """Sets of names that are tied to each other; a set is called by its first name in alphabetical order."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def root(self, name: str) -> str:
        """Returns what the set of a name is called."""
        while (parent := self._parent.get(name, name)) != name:
            self._parent[name] = self._parent.get(parent, parent)
            name = parent
        return name

    def tie(self, one: str, two: str) -> None:
        """Makes one set of two."""
        roots = self.root(one), self.root(two)
        self._parent[max(roots)] = min(roots)


def _one_by_one(chunks: Sequence[PairChunk]) -> Iterator[ComparedChunk]:
    return map(compare_chunk, chunks)


def _chunks(
    pairs: Sequence[tuple[str, str]], images: Mapping[str, SeenImage], limits: ImageLimits, flips: bool
) -> list[PairChunk]:
    """Divides pairs so that those with an image in common stand together, most alike first, and it is decoded once."""
    ties = Ties()
    for one, two in pairs:
        ties.tie(one, two)
    by_set: dict[str, list[tuple[str, str]]] = {}
    for pair in pairs:
        by_set.setdefault(ties.root(pair[0]), []).append(pair)
    ordered = [pair for members in by_set.values() for pair in members]
    parts = [ordered[start : start + PAIRS_PER_CHUNK] for start in range(0, len(ordered), PAIRS_PER_CHUNK)]
    return [
        PairChunk(
            images={name: images[name] for pair in part for name in pair},
            pairs=tuple(part),
            limits=limits,
            flips=flips,
        )
        for part in parts
    ]


def compare_chunk(chunk: PairChunk) -> ComparedChunk:
    """Compares the pairs of a chunk by their pixels.

    Args:
        chunk: The pairs.
    """
    opened = lru_cache(maxsize=_NUM_REMEMBERED)(lambda name: _open(chunk.images[name], chunk.limits))
    ties, copies, num_compared = Ties(), [], 0
    for one, two in chunk.pairs:
        if ties.root(one) == ties.root(two):
            continue
        num_compared += 1
        if _show_the_same(opened(one), opened(two), flips=chunk.flips):
            ties.tie(one, two)
            copies.append((one, two))
    return ComparedChunk(num_compared=num_compared, copies=tuple(copies))


def _open(seen: SeenImage, limits: ImageLimits) -> Image.Image | None:
    try:
        image = decode(read_image(resolve_beneath(Path(seen.root), seen.published), limits), limits).convert("L")
    except ImageRefused:
        return None  # it changed since it was hashed; writing the store finds that out and stops
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    return image


def _show_the_same(one: Image.Image | None, two: Image.Image | None, *, flips: bool) -> bool:
    from PIL import ImageOps

    from datasets_spec.copies.pixel_agreement import compare

    if one is None or two is None:
        return False
    return compare(one, two).is_copy or (flips and compare(one, ImageOps.mirror(two)).is_copy)
