"""How many rows show what rows of a later split show, by the strongest level that ties them."""

from __future__ import annotations

from collections import Counter
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from datasets_spec.sample import SPLITS
from datasets_spec.splits.leak_levels import LEVELS, Action, LeakagePolicy, LeakCount
from datasets_spec.splits.links import Edges, Links
from datasets_spec.splits.row_table import Numbers, first_of_runs, spread

_NUM_SPLITS = len(SPLITS)


def count_leaks(links: Links, split: NDArray[np.int8], policy: LeakagePolicy) -> tuple[LeakCount, ...]:
    """Counts rows that show what a row of a later split shows, over all pairs of subsets and splits.

    Args:
        links: What ties the rows, acted on or not.
        split: Of every row, its position in ``SPLITS``; -1 for a row that does not count.
        policy: What is done about them.
    """
    subsets = links.table.subsets
    num_cells = len(subsets) * _NUM_SPLITS  # a cell: a split of a subset
    cell = links.table.subset * _NUM_SPLITS + split
    pairs, levels = [], []
    for number, level in enumerate(LEVELS):
        rows, seen = _seen_later(links.edges(level).of(split >= 0), cell, split)
        pairs.append(rows * num_cells + seen)
        levels.append(np.full(len(rows), 1 << number, np.int64))
    pair, mask = _joined(np.concatenate(pairs), np.concatenate(levels))
    own, seen = cell[pair // num_cells].astype(np.int64), pair % num_cells
    kinds, nums = np.unique((own * num_cells + seen) << len(LEVELS) | mask, return_counts=True)
    counts: Counter[tuple[int, str, str, str, str, Action]] = Counter()
    for kind, num in zip(kinds.tolist(), nums.tolist(), strict=True):
        cells, levels_of = divmod(kind, 1 << len(LEVELS))
        where = [(subsets[at // _NUM_SPLITS], SPLITS[at % _NUM_SPLITS]) for at in divmod(cells, num_cells)]
        tied = [bool(levels_of >> number & 1) for number in range(len(LEVELS))]
        counts[tied.index(True), *where[0], *where[1], _action_on(tied, policy)] += num
    return tuple(
        LeakCount(
            level=LEVELS[level],
            subset=subset,
            split=own_split,
            seen_subset=seen_subset,
            seen_split=seen_split,
            num_rows=num,
            action=action,
        )
        for (level, subset, own_split, seen_subset, seen_split, action), num in sorted(counts.items())
    )


def _seen_later(edges: Edges, cell: NDArray[np.integer], split: NDArray[np.int8]) -> tuple[Numbers, Numbers]:
    """Pairs of a row and a cell of a later split that has a row of the same name; some several times."""
    earliest = np.full(edges.num_names, _NUM_SPLITS, np.int8)
    latest = np.full(edges.num_names, -1, np.int8)
    np.minimum.at(earliest, edges.names, split[edges.rows])
    np.maximum.at(latest, edges.names, split[edges.rows])
    # Nearly all names are in one split: only the others are joined with the cells that have them.
    is_open = (earliest < latest)[edges.names]
    rows, names = edges.rows[is_open].astype(np.int64), edges.names[is_open].astype(np.int64)
    num_cells = int(cell.max(initial=0)) + 1
    shown = np.unique(names * num_cells + cell[rows])
    start = np.searchsorted(shown, names * num_cells)
    length = np.searchsorted(shown, (names + 1) * num_cells) - start
    rows, seen = np.repeat(rows, length), shown[spread(start, length)] % num_cells
    is_later = seen % _NUM_SPLITS > split[rows]
    return rows[is_later], seen[is_later]


def _joined(pairs: Numbers, levels: Numbers) -> tuple[Numbers, Numbers]:
    """Every pair once, with all levels that tie it."""
    order = np.argsort(pairs, kind="stable")
    starts = np.flatnonzero(first_of_runs(pairs[order]))
    if not len(starts):
        return pairs, levels
    return pairs[order][starts], np.bitwise_or.reduceat(levels[order], starts)


def _action_on(tied: list[bool], policy: LeakagePolicy) -> Action:
    """What is done about rows that several levels tie: equal files that may stay go all the same as equal pixels."""
    found = [policy.action(level) for level in compress(LEVELS, tied)]
    return next((action for action in found if action != "warn"), "warn")
