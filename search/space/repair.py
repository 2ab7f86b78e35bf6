"""The composition near a proposal that breaks constraints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from search.space.composition import Composition
from search.space.composition_space import CompositionSpace


def repair(counts: Mapping[str, int], space: CompositionSpace) -> Composition:
    """The composition of `space` that a few small steps lead to; `counts` itself when it lies in the space.

    In order: forbidden subsets leave; counts move to the nearest of the subset's grid; missing `must_have` subsets
    enter with the smallest count; the smallest optional subsets leave until the largest possible size holds,
    others enter until `min_size` holds; then the largest counts step down the grid until the budget holds, and
    what is dearest becomes less until `max_cost` holds.
    Every step changes the number of samples as little as it can. Ties are broken by a hash of the proposal,
    not by name: else the first names of the alphabet would be favoured over a whole study.

    Args:
        counts: number of samples by subset, 0 for absent.
        space: the constraints.
    """
    order = _tie_breaker(counts)
    grid = space.grid
    kept = {s: _nearest(n, space.grid_of(s)) for s, n in sorted(counts.items()) if n > 0 and s in space.allowed}
    for subset in space.must_have:
        kept.setdefault(subset, grid[0])
    while len(kept) > space.sizes[-1]:
        droppable = [subset for subset in kept if subset not in space.must_have]
        del kept[min(droppable, key=lambda subset: (kept[subset], order(subset)))]
    while len(kept) < space.sizes[0]:
        absent = [subset for subset in space.allowed if subset not in kept]
        kept[min(absent, key=order)] = grid[0]
    # `sizes[-1]` subsets at the smallest count fit the budget, so stepping down always arrives.
    while sum(kept.values()) > space.budget:
        largest = max(kept, key=lambda subset: (kept[subset], order(subset)))
        kept[largest] = max(count for count in grid if count < kept[largest])
    return Composition(space.made_cheaper(kept, min_size=space.sizes[0], order=order))


def _nearest(count: int, grid: tuple[int, ...]) -> int:
    return min(grid, key=lambda step: (abs(step - count), step))


def _tie_breaker(counts: Mapping[str, int]) -> Callable[[str], str]:
    """Orders subsets by a hash of the proposal and the name."""
    proposal = repr(sorted(counts.items()))
    return lambda subset: hashlib.sha256(f"{proposal}|{subset}".encode()).hexdigest()
