"""Pairs of images that one task compares by their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from datasets_spec.copies.ties import Ties
from datasets_spec.images.decode import decode
from datasets_spec.images.files import read_image, resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused

if TYPE_CHECKING:
    from datasets_spec.copies.picture import Picture

# Pictures of 110 KB with their local contrast: 56 MB a task.
_NUM_REMEMBERED = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenImage:
    """An image of a usable row.

    Args:
        numbers: Its looks as :func:`looks.as_numbers` gives them.
        root: Folder beneath which it lies.
        published: Its path there.
    """

    numbers: Sequence[int]
    root: str
    published: str


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
class TiedPair:
    """Two images that belong together.

    Args:
        one: Name of the one.
        two: Name of the other.
        relation: The same picture, or neighbouring slices or frames.
        local: How well their forms agree, 1 at most.
        detail: How well their details agree.
    """

    one: str
    two: str
    relation: Literal["copy", "slice"]
    local: float
    detail: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedChunk:
    """What became of a chunk.

    Args:
        num_compared: Pairs compared; those tied by others of the chunk need no comparison.
        pairs: Those that belong together.
        num_gone: Pairs of which an image cannot be opened any more.
    """

    num_compared: int
    pairs: tuple[TiedPair, ...]
    num_gone: int = 0


def compare_chunk(chunk: PairChunk) -> ComparedChunk:
    """Compares the pairs of a chunk by their pixels.

    Args:
        chunk: The pairs.
    """
    from datasets_spec.copies.pixel_agreement import compare

    opened = lru_cache(maxsize=_NUM_REMEMBERED)(lambda name: _open(chunk.images[name], chunk.limits))
    ties, found, num_compared, num_gone = Ties(), [], 0, 0
    for one, two in chunk.pairs:
        if ties.root(one) == ties.root(two):
            continue
        num_compared += 1
        pictures = opened(one), opened(two)
        if pictures[0] is None or pictures[1] is None:
            num_gone += 1
            continue
        agreement = compare(pictures[0], pictures[1], flips=chunk.flips)
        relation = agreement.relation
        if relation == "copy":
            ties.tie(one, two)
        if relation != "other":
            found.append(TiedPair(one=one, two=two, relation=relation, local=agreement.local, detail=agreement.detail))
    return ComparedChunk(num_compared=num_compared, pairs=tuple(found), num_gone=num_gone)


def _open(seen: SeenImage, limits: ImageLimits) -> Picture | None:
    from datasets_spec.copies.picture import picture_of

    try:
        return picture_of(decode(read_image(resolve_beneath(Path(seen.root), seen.published), limits), limits))
    except ImageRefused:
        return None  # it changed since it was hashed
