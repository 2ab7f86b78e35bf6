"""Which split a row belongs to: by patient where known, by image otherwise, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from datasets_spec.sample import SPLITS
from datasets_spec.splits.links import GROUP_LINK, IMAGE_LINK
from datasets_spec.splits.row_order import unit_interval
from datasets_spec.splits.shares import SplitShares


def components(links: Sequence[frozenset[str]]) -> list[int]:
    """Numbers rows so that rows tied by a shared link, directly or through others, have one number.

    Args:
        links: Of every row, its image hashes and groups.

    Returns:
        For every row the smallest position in its component.
    """
    parent = list(range(len(links)))

    def root(position: int) -> int:
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    first: dict[str, int] = {}
    for position, row_links in enumerate(links):
        for link in row_links:
            a, b = root(first.setdefault(link, position)), root(position)
            parent[max(a, b)] = min(a, b)
    return [root(position) for position in range(len(links))]


def split_at(u: float, shares: SplitShares) -> str:
    """Returns the split that a number falls into.

    Args:
        u: In [0, 1).
        shares: Shares in the order of ``SPLITS``.
    """
    reached = 0.0
    for split, reached in zip(SPLITS, accumulate(shares.as_tuple()), strict=True):
        if u < reached:
            return split
    # Shares add up to one only within rounding: the last split that has a share takes the rest.
    return [split for split, share in zip(SPLITS, shares.as_tuple(), strict=True) if share > 0][-1]


def assign_splits(
    links: Sequence[frozenset[str]],
    subsets: Sequence[str],
    shares: Mapping[str, SplitShares],
    *,
    seed: int,
) -> list[str]:
    """Assigns a split to every row of the pools.

    Rows tied by an image or a patient get one split, also across subsets. What is drawn is the component's
    smallest group (its smallest image hash where no group is known), so a patient's split depends neither on
    the number of rows nor on their order. Where a component spans subsets of unequal shares, those with the
    smallest train share decide, which never trains on more than any of them allows.

    Args:
        links: Of every row, its image hashes and groups, prefixed with what they are.
        subsets: Of every row, its subset.
        shares: Shares by subset.
        seed: Seed of the store.

    Returns:
        The split of every row.
    """
    members: dict[int, list[int]] = {}
    for position, component in enumerate(components(links)):
        members.setdefault(component, []).append(position)
    result = [""] * len(links)
    for positions in members.values():
        tied = frozenset().union(*(links[position] for position in positions))
        groups = [link for link in tied if link.startswith(GROUP_LINK)]
        images = [link for link in tied if link.startswith(IMAGE_LINK)]
        drawn = min(groups or images or tied or {f"row:{positions[0]}"})
        names = sorted({subsets[position] for position in positions})
        strictest = min(names, key=lambda name: (shares[name].train, name))
        split = split_at(unit_interval(seed, "split", drawn), shares[strictest])
        for position in positions:
            result[position] = split
    return result
