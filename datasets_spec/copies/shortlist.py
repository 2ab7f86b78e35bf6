"""Pairs of images that look alike, out of hundreds of thousands, a bounded number for every image.

Images are divided into cells around landmarks, which are images drawn evenly from all; every image asks the cells
nearest to each of its views for the images most alike. So no step compares each image with each. All numbers are whole
and their sums exact, so that the answer is the same on every processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.copies.looks import CONTENT, FRAME, LENGTH, Looks
from datasets_spec.copies.views import flipped, turned_and_cropped

Indexes = NDArray[np.int64]
Floats = NDArray[np.float32]

# How alike two looks must be, as the cosine of their angle: of content and of the frame. Contents of nine in ten real
# images cropped by a tenth or turned by 10 degrees lay above, and frames of as many equalised ones.
MIN_LIKENESS: Final = {CONTENT: 0.68, FRAME: 0.84}
# Images most alike that are listed for every image; whoever has more copies is tied through these.
MAX_PER_IMAGE: Final = {CONTENT: 5, FRAME: 3}
# Of a crowd, of more lookalikes than that, the first two are listed, what is as alike as what was saved again, and what
# stands out: it lacks three quarters at most of what the next one lacks (Lowe's ratio test for keypoints, 2004).
_MIN_LISTED: Final = 2
_SAVED_AGAIN: Final = 0.92
_STANDING_OUT: Final = 0.75
# Up to so many images there is one cell, and every image meets every other.
_MAX_WHOLE: Final = 8192
_PER_CELL: Final = 512
_NUM_CELLS_ASKED: Final = 8
# Of a larger cell only so many are met, evenly spaced; whoever asks it counts as cut.
MAX_PER_CELL: Final = 8192
_BLOCK: Final = 1024
_SHORT: Final = LENGTH * LENGTH


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortlist:
    """Pairs that may show the same picture, most alike first.

    Args:
        first: Index of the one image of every pair.
        second: Index of the other, always the larger.
        num_cut: Images that did not meet all of a crowded cell.
    """

    first: Indexes
    second: Indexes
    num_cut: int


def shortlist(looks: Looks, *, with_mirrored: bool = True, tied: Indexes | None = None) -> Shortlist:
    """Finds the images that look most like a view of each image.

    Args:
        looks: Looks (n, 2, 80) of distinct images.
        with_mirrored: Also find mirrored copies.
        tied: A number for every image; images of one number are known to belong together and are not paired.

    Returns:
        The pairs, most alike first.
    """
    if not len(looks):
        return Shortlist(first=np.empty(0, np.int64), second=np.empty(0, np.int64), num_cut=0)
    known = np.arange(len(looks)) if tied is None else tied
    found: list[tuple[Indexes, Indexes, Indexes]] = []
    is_cut = np.zeros(len(looks), dtype=bool)
    for kind in (CONTENT, FRAME):
        own = np.ascontiguousarray(looks[:, kind])
        views = [own, *(flipped(own) if with_mirrored else [])]
        views += turned_and_cropped(own) if kind == CONTENT else []
        found.append(_nearest(own, views, known, is_cut, kind))
    one, two, likeness = (np.concatenate(parts) for parts in zip(*found, strict=True))
    one, two, likeness = _without_repeats(one, two, likeness, len(looks))
    order = np.lexsort((two, one, -likeness))
    return Shortlist(first=one[order], second=two[order], num_cut=int(is_cut.sum()))


def _nearest(
    own: Looks, views: list[Looks], known: Indexes, is_cut: NDArray[np.bool_], kind: int
) -> tuple[Indexes, Indexes, Indexes]:
    """Pairs of which one is among those most like a view of the other, and how alike they are."""
    cells = _Cells(own)
    most, floor = MAX_PER_IMAGE[kind], int(MIN_LIKENESS[kind] * _SHORT)
    best = _nothing()
    for view in views:
        found = [best, *cells.alike(view.astype(np.float32), known, is_cut, floor, most + 1)]
        one, two, likeness = (np.concatenate(parts) for parts in zip(*found, strict=True))
        best = _most_alike(*_without_repeats(one, two, likeness, len(own)), most + 1)
    one, two, likeness = _standing_out(*best, most)
    return np.minimum(one, two), np.maximum(one, two), likeness


def _nothing() -> tuple[Indexes, Indexes, Indexes]:
    return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)


def _without_repeats(one: Indexes, two: Indexes, likeness: Indexes, num: int) -> tuple[Indexes, Indexes, Indexes]:
    """Keeps of equal pairs the one most alike."""
    keys = one * num + two
    order = np.lexsort((-likeness, keys))
    keys = keys[order]
    is_first = np.ones(len(keys), dtype=bool)
    is_first[1:] = keys[1:] != keys[:-1]
    kept = order[is_first]
    return one[kept], two[kept], likeness[kept]


def _most_alike(one: Indexes, two: Indexes, likeness: Indexes, most: int) -> tuple[Indexes, Indexes, Indexes]:
    """Keeps of every first image the pairs most alike; of equal ones those with the first partners."""
    order = np.lexsort((two, -likeness, one))
    kept = order[_rank(one[order]) < most]
    return one[kept], two[kept], likeness[kept]


def _rank(asked: Indexes) -> Indexes:
    """For every entry of an ordered list, how many equal ones come before it."""
    starts = np.flatnonzero(np.r_[True, asked[1:] != asked[:-1]]) if len(asked) else np.empty(0, dtype=np.int64)
    return np.asarray(np.arange(len(asked)) - np.repeat(starts, np.diff(np.r_[starts, len(asked)])))


def _standing_out(one: Indexes, two: Indexes, likeness: Indexes, most: int) -> tuple[Indexes, Indexes, Indexes]:
    """Keeps of an ordered crowd what is worth a look; a crowd is whoever has one pair more than is listed."""
    rank = _rank(one)
    background = np.full(int(one.max(initial=-1)) + 1, -1, dtype=np.int64)
    background[one[rank == most]] = likeness[rank == most]
    next_one = background[one]
    is_out = _SHORT - likeness <= _STANDING_OUT * (_SHORT - next_one)
    kept = (rank < most) & ((next_one < 0) | (rank < _MIN_LISTED) | (likeness >= _SAVED_AGAIN * _SHORT) | is_out)
    return one[kept], two[kept], likeness[kept]


class _Cells:
    """Images by the landmark that each looks most like."""

    def __init__(self, own: Looks) -> None:
        self._own = own.astype(np.float32)
        num = len(own)
        num_cells = 1 if num <= _MAX_WHOLE else -(-num // _PER_CELL)
        self._landmarks = self._own[np.arange(num_cells) * num // num_cells]
        nearest = np.zeros(num, dtype=np.int64)
        if num_cells > 1:
            for start in range(0, num, _BLOCK):
                # The first of equals, which sums of whole numbers let stand on every processor.
                nearest[start : start + _BLOCK] = (self._own[start : start + _BLOCK] @ self._landmarks.T).argmax(axis=1)
        order = np.argsort(nearest, kind="stable")
        self._members = np.split(order, np.searchsorted(nearest[order], np.arange(1, num_cells)))

    def alike(
        self, view: Floats, known: Indexes, is_cut: NDArray[np.bool_], floor: int, most: int
    ) -> Iterator[tuple[Indexes, Indexes, Indexes]]:
        """Yields images, images whose own looks are most like the view of the former, and how alike."""
        for cell, asking in self._asking(view):
            members = self._members[cell]
            if len(members) > MAX_PER_CELL:
                is_cut[asking] = True
                members = members[np.arange(MAX_PER_CELL) * len(members) // MAX_PER_CELL]
            own = self._own[members].T
            for start in range(0, len(asking), _BLOCK):
                block = asking[start : start + _BLOCK]
                likeness = view[block] @ own
                likeness[known[block][:, None] == known[members][None, :]] = -1
                yield _above(likeness, block, members, floor, most)

    def _asking(self, view: Floats) -> Iterator[tuple[int, Indexes]]:
        """Yields cells and the images whose view asks them."""
        num_cells, num = len(self._members), len(view)
        if num_cells <= _NUM_CELLS_ASKED:
            yield from ((cell, np.arange(num)) for cell in range(num_cells))
            return
        asked = np.empty((num, _NUM_CELLS_ASKED), dtype=np.int64)
        for start in range(0, num, _BLOCK):
            likeness = (view[start : start + _BLOCK] @ self._landmarks.T).astype(np.int64)
            # Unequal numbers, so that it does not depend on the processor which of equals are taken.
            likeness = likeness * num_cells + np.arange(num_cells)[::-1]
            asked[start : start + _BLOCK] = np.argpartition(likeness, -_NUM_CELLS_ASKED, axis=1)[:, -_NUM_CELLS_ASKED:]
        flat = asked.ravel()
        order = np.argsort(flat, kind="stable")
        ends = np.searchsorted(flat[order], np.arange(num_cells + 1))
        for cell in range(num_cells):
            if ends[cell] < ends[cell + 1]:
                yield cell, order[ends[cell] : ends[cell + 1]] // _NUM_CELLS_ASKED


def _above(
    likeness: Floats, asking: Indexes, members: Indexes, floor: int, most: int
) -> tuple[Indexes, Indexes, Indexes]:
    """The members most alike of each row of likeness, if they are alike enough."""
    is_near = likeness >= floor
    crowded = np.flatnonzero(is_near.sum(axis=1) > most)
    if len(crowded):
        least = np.partition(likeness[crowded], -most, axis=1)[:, -most]
        is_near[crowded] = likeness[crowded] >= np.maximum(least, floor)[:, None]
    rows, columns = np.nonzero(is_near)
    found = likeness[rows, columns].astype(np.int64)
    return _most_alike(asking[rows], members[columns], found, most)
