"""Which split a row belongs to: by patient where known, by image otherwise, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from datasets_spec.sample import SPLITS
from datasets_spec.splits.hashes import Codes, digests, words
from datasets_spec.splits.links import LINK_PREFIXES, Edges, Links
from datasets_spec.splits.row_order import unit_interval
from datasets_spec.splits.shares import SplitShares

# A component is drawn by its smallest name at the first of these levels that it has: patients, images, then by letter.
_DRAWN_BY = ("group", "pixels", "bytes", "near", "slices")
_NONE = np.iinfo(np.int32).max


def components(num_rows: int, edges: Sequence[Edges]) -> Codes:
    """Numbers rows so that rows tied by a shared name, directly or through others, have one number.

    Args:
        num_rows: How many rows there are.
        edges: Their ties.

    Returns:
        For every row the number of its component, from 0 in the order of their first rows.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, nodes, num_nodes = [], [], num_rows
    for shared in (level.of_shared_names() for level in edges):
        named, codes = np.unique(shared.names, return_inverse=True)
        rows.append(shared.rows)
        nodes.append((codes + num_nodes).astype(np.int32))
        num_nodes += len(named)
    if num_nodes == num_rows:
        return np.arange(num_rows, dtype=np.int32)
    places = (np.concatenate(rows), np.concatenate(nodes))
    ties = coo_array((np.ones(len(places[0]), np.int8), places), shape=(num_nodes, num_nodes))
    # Numbered in the order of their first node, and rows come first.
    found: Codes = connected_components(ties.tocsr(), directed=False)[1][:num_rows]
    return found


def split_at(u: float, shares: SplitShares) -> str:
    """Returns the split that a number falls into.

    Args:
        u: In [0, 1).
        shares: Shares in the order of ``SPLITS``.
    """
    return SPLITS[int(_splits_at(np.array([u]), shares)[0])]


def _splits_at(u: NDArray[np.float64], shares: SplitShares) -> NDArray[np.int8]:
    reached = np.array(list(accumulate(shares.as_tuple())))
    # Shares add up to one only within rounding: the last split that has a share takes the rest.
    last = max(rank for rank, share in enumerate(shares.as_tuple()) if share > 0)
    rank = np.searchsorted(reached, u, side="right")
    return np.where(rank < len(SPLITS), rank, last).astype(np.int8)


def assign_splits(
    links: Links,
    levels: Sequence[str],
    chosen: NDArray[np.bool_],
    shares: Mapping[str, SplitShares],
    *,
    seed: int,
) -> NDArray[np.int8]:
    """Assigns a split to rows of the pools.

    Rows tied by an image or a patient get one split, also across subsets. What is drawn is the component's
    smallest group (its smallest image hash where no group is known), so a patient's split depends neither on
    the number of rows nor on their order. Where a component spans subsets of unequal shares, those with the
    smallest train share decide, which never trains on more than any of them allows.

    Args:
        links: What ties the rows.
        levels: Levels by which splits are kept apart.
        chosen: Of every row, whether it is to be assigned.
        shares: Shares by subset.
        seed: Seed of the store.

    Returns:
        The split of every chosen row, a position in ``SPLITS``.
    """
    table, position = links.table, np.cumsum(chosen, dtype=np.int32) - 1
    edges = {}
    for level in levels:
        of = links.edges(level).of(chosen)
        edges[level] = of._replace(rows=position[of.rows])
    num_rows = int(chosen.sum())
    component = components(num_rows, list(edges.values()))
    u = _draws(component, links, edges, seed)
    ranked = sorted(shares, key=lambda name: (shares[name].train, name))
    rank_of = np.array([ranked.index(name) if name in shares else -1 for name in table.subsets])
    strictest = np.full(len(u), len(ranked))
    np.minimum.at(strictest, component, rank_of[table.subset[chosen]])
    split = np.empty(len(u), np.int8)
    for rank in np.unique(strictest).tolist():
        split[strictest == rank] = _splits_at(u[strictest == rank], shares[ranked[rank]])
    return split[component]


def _draws(component: Codes, links: Links, edges: Mapping[str, Edges], seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for every component."""
    num = int(component.max(initial=-1)) + 1
    u, is_drawn = np.empty(num), np.zeros(num, bool)
    for level in _DRAWN_BY:
        if level not in edges:
            continue
        smallest = np.full(num, _NONE, np.int32)
        np.minimum.at(smallest, component[edges[level].rows], edges[level].names)
        now = ~is_drawn & (smallest != _NONE)
        prefix = f"{seed}\0split\0{LINK_PREFIXES[level]}".encode()
        # As `unit_interval` has it: seven bytes.
        u[now] = (words(digests(prefix, links.names(level), smallest[now], num_bytes=8)) >> np.uint64(8)) / 2.0**56
        is_drawn |= now
    if not is_drawn.all():
        first = np.full(num, _NONE, np.int32)
        np.minimum.at(first, component, np.arange(len(component), dtype=np.int32))
        u[~is_drawn] = [unit_interval(seed, "split", f"row:{row}") for row in first[~is_drawn].tolist()]
    return u
