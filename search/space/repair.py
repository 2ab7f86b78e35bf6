"""The composition near a proposal that breaks constraints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from search.space.composition import Composition
from search.space.composition_space import CompositionSpace


def repair(counts: Mapping[str, int], space: CompositionSpace) -> Composition:
    """The composition of `space` that a few small steps lead to; `counts` itself when it lies in the space.

    In order: forbidden subsets leave; counts move to the nearest of the subset's grid; missing `must_have` subsets
    enter with their smallest count; the smallest optional subsets leave until the largest possible size holds,
    others enter until `min_size` holds; then the largest counts step down until the budget holds, and what is dearest
    becomes less until `max_cost` holds.
    Every step changes the number of samples as little as it can. Ties are broken by a hash of the proposal,
    not by name: else the first names of the alphabet would be favoured over a whole study.

    Args:
        counts: number of samples by subset, 0 for absent.
        space: the constraints.
    """
    order = _tie_breaker(counts)
    kept = {s: nearest(n, space.grid_of(s)) for s, n in sorted(counts.items()) if n > 0 and s in space.allowed}
    for subset in space.must_have:
        kept.setdefault(subset, space.grid_of(subset)[0])
    while len(kept) > space.sizes[-1]:
        droppable = [subset for subset in kept if subset not in space.must_have]
        del kept[min(droppable, key=lambda subset: (kept[subset], order(subset)))]
    while len(kept) < space.sizes[0]:
        absent = [subset for subset in space.allowed if subset not in kept]
        entering = min(absent, key=order)
        kept[entering] = space.grid_of(entering)[0]
    return Composition(space.fitted(kept, min_size=space.sizes[0], order=order))


def filled(sources: Sequence[str], space: CompositionSpace) -> Composition:
    """The composition of `space` nearest to these sources with the most samples that the budget allows to each."""
    fitting = [step for step in space.steps if step * len(sources) <= space.budget]
    return repair(dict.fromkeys(sources, max(fitting, default=space.steps[0])), space)


def single_source(source: str, space: CompositionSpace) -> Composition:
    """An allowed source with the most samples that it may have and the budget allows."""
    return Composition({source: max(n for n in space.grid_of(source) if n <= space.budget)})


def nearest(count: int, grid: tuple[int, ...]) -> int:
    """The step that differs least from `count`, the smaller of two."""
    return min(grid, key=lambda step: (abs(step - count), step))


def _tie_breaker(counts: Mapping[str, int]) -> Callable[[str], str]:
    """Orders subsets by a hash of the proposal and the name."""
    proposal = repr(sorted(counts.items()))
    return lambda subset: hashlib.sha256(f"{proposal}|{subset}".encode()).hexdigest()
