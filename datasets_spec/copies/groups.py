"""Groups of images that show the same picture: found by their looks, confirmed by their pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from datasets_spec.copies.chunks import ComparedChunk, ComparedPair, PairChunk, SeenImage, compare_chunk
from datasets_spec.copies.ties import Ties
from datasets_spec.errors import StoreError
from datasets_spec.images.limits import ImageLimits

if TYPE_CHECKING:
    from datasets_spec.copies.looks import Looks
    from datasets_spec.copies.shortlist import Indexes, Shortlist

# A task of some seconds; its images are opened by it alone.
PAIRS_PER_CHUNK = 256
# Pairs that are compared at most, the most alike first: so many an image, and so many whatever their number. What is
# beyond is counted and told with what it may hold.
MAX_PAIRS_PER_IMAGE: Final = 3
MIN_PAIRS: Final = 10_000
# Share of the pairs compared, the least alike of them, by which what was not compared is judged.
_LATE: Final = 10


class FindPairs(Protocol):
    """Lists images that look alike."""

    def __call__(self, looks: Looks, /, *, with_mirrored: bool, tied: Indexes) -> Shortlist:
        """See :func:`shortlist`."""


class CopySearch(BaseModel):
    """How the search for copies went.

    Args:
        num_images: Distinct images.
        num_flat: Of one grey, which have no looks; copies of these are found by their pixels only.
        num_shortlisted: Pairs that look alike.
        num_compared: Pairs compared by pixels, now or before; those that others tie need no comparison.
        num_copies: Pairs of these that show the same picture.
        num_slices: Pairs of these that are neighbouring slices of a volume or frames of a film.
        num_known: Images that a patient ties to others; pairs of one patient were not looked for.
        num_over_budget: Pairs that look alike and were not compared, because others look more alike.
        num_expected: Copies that these hold if they hold as many as the least alike tenth of those compared.
        num_cut: Images with more lookalikes than were followed.
        largest_group: Images in the largest group of copies; all of them are in one split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_images: int = 0
    num_flat: int = 0
    num_shortlisted: int = 0
    num_compared: int = 0
    num_copies: int = 0
    num_slices: int = 0
    num_known: int = 0
    num_over_budget: int = 0
    num_expected: int = 0
    num_cut: int = 0
    largest_group: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyGroups:
    """Images that belong together.

    Args:
        copies: Group of every image that has a copy.
        slices: Group of every image that has a neighbouring slice or frame.
        pairs: What ties them, with how alike they are.
        compared: All pairs that were compared, now or before.
        search: How the search went.
    """

    copies: dict[str, str] = field(default_factory=dict)
    slices: dict[str, str] = field(default_factory=dict)
    pairs: tuple[ComparedPair, ...] = ()
    compared: tuple[ComparedPair, ...] = ()
    search: CopySearch


def group_copies(
    images: Mapping[str, SeenImage],
    *,
    limits: ImageLimits,
    flips: bool = True,
    known: Mapping[str, str] | None = None,
    known_pairs: Callable[[Sequence[tuple[str, str]]], dict[tuple[str, str], ComparedPair]] | None = None,
    on_event: Callable[[str], None] | None = None,
    compare_chunks: Callable[[Sequence[PairChunk]], Iterable[ComparedChunk]] | None = None,
    find_pairs: FindPairs | None = None,
) -> CopyGroups:
    """Groups images that show the same picture.

    Args:
        images: Images by pixel hash.
        limits: What opening one may cost.
        flips: Whether a mirrored image shows the same picture.
        known: What images are tied by already, a patient; those of one are not compared.
        known_pairs: Says what comparing pairs led to before, as :meth:`KnownPairs.of` does.
        on_event: Told how far it is.
        compare_chunks: Compares chunks of pairs, in any order, as :func:`compare_chunk` does; one after the other by
            default. The answer does not depend on it.
        find_pairs: Lists what looks alike, as :func:`shortlist` does.

    Raises:
        StoreError: An image cannot be opened any more.
    """
    names = sorted(name for name, image in images.items() if image.numbers)
    num_flat, known = len(images) - len(names), known or {}
    if len(names) < 2:
        return CopyGroups(search=CopySearch(num_images=len(images), num_flat=num_flat))
    listed, num_cut = _look_alike(names, images, flips, known, find_pairs)
    budget = max(MIN_PAIRS, MAX_PAIRS_PER_IMAGE * len(names))
    chosen, num_over = listed[:budget], max(0, len(listed) - budget)
    before = known_pairs(chosen) if known_pairs else {}
    if on_event is not None and chosen:
        remembered = f", {len(before)} of them known from before" if before else ""
        on_event(
            f"{len(listed)} pairs of {len(images)} images look alike; comparing the pixels of {len(chosen)}{remembered}"
        )
    compared = _compared(_chunks(chosen, images, limits, flips, before), compare_chunks or _one_by_one)
    found = [pair for pair in compared if pair.relation != "other"]
    copies, slices = (_groups(found, relation) for relation in ("copy", "slice"))
    num_copies = sum(pair.relation == "copy" for pair in found)
    search = CopySearch(
        num_images=len(images),
        num_flat=num_flat,
        num_shortlisted=len(listed),
        num_compared=len(compared),
        num_copies=num_copies,
        num_slices=len(found) - num_copies,
        num_known=sum(name in known for name in names),
        num_over_budget=num_over,
        num_expected=_expected(found, chosen, num_over),
        num_cut=num_cut,
        largest_group=max(Counter(copies.values()).values(), default=0),
    )
    return CopyGroups(copies=copies, slices=slices, pairs=tuple(found), compared=tuple(compared), search=search)


def _look_alike(
    names: Sequence[str],
    images: Mapping[str, SeenImage],
    flips: bool,
    known: Mapping[str, str],
    find_pairs: FindPairs | None,
) -> tuple[list[tuple[str, str]], int]:
    """Pairs of images that look alike, most alike first, and how many images did not meet all of a crowd."""
    from datasets_spec.copies.looks import from_numbers
    from datasets_spec.copies.shortlist import shortlist

    numbers: dict[str, int] = {}
    tied = np.array([numbers.setdefault(known.get(name, name), len(numbers)) for name in names])
    looks = from_numbers([images[name].numbers for name in names])
    pairs = (find_pairs or shortlist)(looks, with_mirrored=flips, tied=tied)
    listed = [(names[one], names[two]) for one, two in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)]
    return listed, pairs.num_cut


def _compared(
    chunks: Sequence[PairChunk], compare_chunks: Callable[[Sequence[PairChunk]], Iterable[ComparedChunk]]
) -> list[ComparedPair]:
    """What comparing all chunks led to; what is known needs no process of its own."""
    new = [chunk for chunk in chunks if len(chunk.known) < len(chunk.pairs)]
    done = [*map(compare_chunk, (chunk for chunk in chunks if len(chunk.known) == len(chunk.pairs)))]
    done += compare_chunks(new)
    if any(chunk.num_gone for chunk in done):
        raise StoreError(
            "images changed while they were prepared, and could not be compared with others",
            hint="prepare again when nothing writes to the images",
        )
    return sorted((pair for chunk in done for pair in chunk.pairs), key=lambda pair: (pair.one, pair.two))


def _groups(pairs: Iterable[ComparedPair], relation: str) -> dict[str, str]:
    ties, names = Ties(), set[str]()
    for pair in pairs:
        if pair.relation == relation:
            ties.tie(pair.one, pair.two)
            names |= {pair.one, pair.two}
    return {name: ties.root(name) for name in sorted(names)}


def _expected(found: Sequence[ComparedPair], compared: Sequence[tuple[str, str]], num_over: int) -> int:
    """Copies among pairs that were not compared, at the rate of the least alike of those that were, rounded up."""
    if not num_over:
        return 0
    late = set(compared[-max(1, len(compared) // _LATE) :])
    num_copies = sum(pair.relation == "copy" and (pair.one, pair.two) in late for pair in found)
    return -(-num_over * num_copies // len(late))


def _one_by_one(chunks: Sequence[PairChunk]) -> Iterator[ComparedChunk]:
    return map(compare_chunk, chunks)


def _chunks(
    pairs: Sequence[tuple[str, str]],
    images: Mapping[str, SeenImage],
    limits: ImageLimits,
    flips: bool,
    known: Mapping[tuple[str, str], ComparedPair],
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
            images={name: images[name] for pair in part if pair not in known for name in pair},
            pairs=tuple(part),
            limits=limits,
            flips=flips,
            known={pair: known[pair] for pair in part if pair in known},
        )
        for part in parts
    ]
