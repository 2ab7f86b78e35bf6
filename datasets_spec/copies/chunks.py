"""Pairs of images that one task compares by their pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from datasets_spec.copies.ties import Ties
from datasets_spec.images.decode import decode
from datasets_spec.images.files import read_image, resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused

if TYPE_CHECKING:
    from datasets_spec.copies.picture import Picture
    from datasets_spec.copies.pixel_agreement import Relation

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
        known: What comparing some of the pairs led to before.
    """

    images: dict[str, SeenImage]
    pairs: tuple[tuple[str, str], ...]
    limits: ImageLimits
    flips: bool
    known: Mapping[tuple[str, str], ComparedPair]


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedPair:
    """Two images that were compared.

    Args:
        one: Name of the one.
        two: Name of the other.
        relation: The same picture, neighbouring slices or frames, or neither.
        local: How well their forms agree, 1 at most.
        detail: How well their details agree.
    """

    one: str
    two: str
    relation: Relation
    local: float
    detail: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedChunk:
    """What became of a chunk.

    Args:
        pairs: Pairs compared, now or before; those tied by others of the chunk need no comparison.
        num_gone: Pairs of which an image cannot be opened any more.
    """

    pairs: tuple[ComparedPair, ...]
    num_gone: int = 0


def compare_chunk(chunk: PairChunk) -> ComparedChunk:
    """Compares the pairs of a chunk by their pixels.

    Args:
        chunk: The pairs.
    """
    from datasets_spec.copies.pixel_agreement import compare

    opened = lru_cache(maxsize=_NUM_REMEMBERED)(lambda name: _open(chunk.images[name], chunk.limits))
    ties, found, num_gone = Ties(), list[ComparedPair](), 0
    for one, two in chunk.pairs:
        if ties.root(one) == ties.root(two):
            continue
        pair = chunk.known.get((one, two))
        if pair is None:
            pictures = opened(one), opened(two)
            if pictures[0] is None or pictures[1] is None:
                num_gone += 1
                continue
            found_now = compare(pictures[0], pictures[1], flips=chunk.flips)
            pair = ComparedPair(
                one=one, two=two, relation=found_now.relation, local=found_now.local, detail=found_now.detail
            )
        if pair.relation == "copy":
            ties.tie(one, two)
        found.append(pair)
    return ComparedChunk(pairs=tuple(found), num_gone=num_gone)


def _open(seen: SeenImage, limits: ImageLimits) -> Picture | None:
    from datasets_spec.copies.picture import picture_of

    try:
        return picture_of(decode(read_image(resolve_beneath(seen.root, seen.published), limits), limits))
    except ImageRefused:
        return None  # it changed since it was hashed
