"""Pairs of images that look alike, out of hundreds of thousands, without comparing each with each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.copies.perceptual_hash import MIRRORED, WHOLE, Looks

# Bits that may differ. Chosen on planted copies (docs/leakage.md): mild edits stay below; distinct images with few
# details come close. Of the hash of low frequencies, and of both hashes together.
MAX_LOW_BITS: Final = 8
MAX_BITS: Final = 20
# First bit and width of the parts of the low hash that are looked up. Wide enough that of a million images few share a
# part by chance; 8 differing bits over three parts: one of them has two at most.
_BANDS: Final = ((0, 21), (21, 21), (42, 22))
_MAX_BAND_FLIPS: Final = MAX_LOW_BITS // len(_BANDS)
# Of thousands of images with one hash, each meets this many: whoever has more lookalikes is tied through some of them.
MAX_PER_BUCKET: Final = 128
MAX_PER_IMAGE: Final = 32
_MAX_CANDIDATES: Final = 2_000_000

Indexes = NDArray[np.int64]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortlist:
    """Pairs that may show the same picture.

    Args:
        first: Index of the one image of every pair.
        second: Index of the other, always the larger.
        num_cut: Images that had more lookalikes than are listed.
    """

    first: Indexes
    second: Indexes
    num_cut: int


def shortlist(looks: Looks, *, with_mirrored: bool = False) -> Shortlist:
    """Finds pairs of images of which one's whole looks like a view of the other.

    The time grows with the number of images, not with its square: a hash is looked up by each third of its bits, and
    no look-up returns more than a fixed number of images.

    Args:
        looks: Looks (n, 7, 2) of distinct images.
        with_mirrored: Also find mirrored copies.

    Returns:
        The pairs, most alike first.
    """
    num = len(looks)
    whole = np.ascontiguousarray(looks[:, WHOLE, :])
    views = range(MIRRORED + 1) if with_mirrored else range(MIRRORED)
    keys: list[Indexes] = []
    is_cut = np.zeros(num, dtype=bool)
    for band in _BANDS:
        bucket = _Buckets(_band(whole[:, 0], band), band)
        for view in views:
            asked = np.ascontiguousarray(looks[:, view, :])
            keys += [_pair_keys(one, two, num) for one, two in bucket.alike(asked, whole, is_cut)]
            if len(keys) > 64:
                keys = [np.unique(np.concatenate(keys))]
    found = np.unique(np.concatenate(keys)) if keys else np.empty(0, dtype=np.int64)
    first, second = found // max(1, num), found % max(1, num)
    return _nearest(first, second, looks, views, is_cut)


def _band(hashes: Keys, band: tuple[int, int]) -> Indexes:
    start, width = band
    return ((hashes >> np.uint64(start)) & np.uint64(2**width - 1)).astype(np.int64)


def _pair_keys(one: Indexes, two: Indexes, num: int) -> Indexes:
    return np.unique(np.minimum(one, two) * num + np.maximum(one, two))


def _flips(width: int) -> list[int]:
    sizes = range(_MAX_BAND_FLIPS + 1)
    return [sum(1 << bit for bit in chosen) for size in sizes for chosen in combinations(range(width), size)]


class _Buckets:
    """Images by a part of their hash."""

    def __init__(self, own: Indexes, band: tuple[int, int]) -> None:
        self._band = band
        self._members = np.argsort(own, kind="stable")
        counts = np.bincount(own, minlength=2 ** band[1])
        self._starts = np.cumsum(counts) - counts
        # A byte a bucket stays in the processor's cache; most look-ups find nothing and need no more.
        self._counts = np.minimum(counts, MAX_PER_BUCKET).astype(np.uint8)
        self._is_cut = counts > MAX_PER_BUCKET

    def alike(self, asked: Keys, whole: Keys, is_cut: NDArray[np.bool_]) -> Iterator[tuple[Indexes, Indexes]]:
        """Yields images and images whose whole looks like what is asked of them."""
        own = _band(asked[:, 0], self._band)
        for flip in _flips(self._band[1]):
            found = self._counts[own ^ flip]
            images = np.flatnonzero(found)
            bucket = own[images] ^ flip
            is_cut[images] |= self._is_cut[bucket]
            count, start = found[images].astype(np.int64), self._starts[bucket]
            for part in _parts(count):
                one = np.repeat(images[part], count[part])
                within = np.arange(len(one)) - np.repeat(np.cumsum(count[part]) - count[part], count[part])
                two = self._members[np.repeat(start[part], count[part]) + within]
                low = np.bitwise_count(asked[one, 0] ^ whole[two, 0])
                near = low <= MAX_LOW_BITS
                one, two, low = one[near], two[near], low[near]
                high = np.bitwise_count(asked[one, 1] ^ whole[two, 1])
                near = (low + high <= MAX_BITS) & (one != two)
                if near.any():
                    yield one[near], two[near]


def _parts(count: Indexes) -> Iterator[slice]:
    """Cuts the queries so that no part has more candidates than memory should hold."""
    total = np.cumsum(count)
    start = 0
    while start < len(count):
        before = int(total[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + _MAX_CANDIDATES, side="right")))
        if total[stop - 1] > before:
            yield slice(start, stop)
        start = stop


def _nearest(first: Indexes, second: Indexes, looks: Looks, views: range, is_cut: NDArray[np.bool_]) -> Shortlist:
    """Keeps of every image the pairs most alike, and orders them by it."""
    distance = np.full(len(first), 255, dtype=np.int64)
    for view in views:
        for one, two in ((first, second), (second, first)):
            differing = np.bitwise_count(looks[one, view] ^ looks[two, WHOLE]).astype(np.int64)
            is_near = (differing[:, 0] <= MAX_LOW_BITS) & (differing.sum(axis=1) <= MAX_BITS)
            distance = np.where(is_near, np.minimum(distance, differing.sum(axis=1)), distance)
    order = np.lexsort((second, first, distance))
    first, second = first[order], second[order]
    kept = np.minimum(_rank_within(first), _rank_within(second)) < MAX_PER_IMAGE
    is_cut[first[~kept]] = True
    return Shortlist(first=first[kept], second=second[kept], num_cut=int(is_cut.sum()))


def _rank_within(images: Indexes) -> Indexes:
    """For every pair, how many pairs of the same image come before it."""
    order = np.argsort(images, kind="stable")
    grouped = images[order]
    is_first = np.concatenate([[True], grouped[1:] != grouped[:-1]]) if len(grouped) else np.empty(0, dtype=bool)
    place = np.arange(len(grouped))
    rank = np.empty(len(images), dtype=np.int64)
    rank[order] = place - np.maximum.accumulate(np.where(is_first, place, 0))
    return rank
