"""Candidates that were not proposed yet."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import islice

from search.space.candidate import Candidate, SearchSpace
from search.space.recipe_space import RecipeValue
from search.space.repair import filled
from search.statistics.ties import descending
from search.strategies.interface import Observation

# Draws before the remaining candidates are listed instead: a miss is likely only when nearly all are taken.
MAX_DRAWS = 200
# Spaces up to this size are listed in full, so that the last ones are still drawn uniformly.
MAX_LISTED = 10_000


def taken_identities(history: Sequence[Observation], pending: Sequence[Candidate]) -> frozenset[str]:
    """The identities that must not be proposed again."""
    return frozenset([*(o.candidate.identity for o in history), *(c.identity for c in pending)])


def draw_untaken(space: SearchSpace, rng: random.Random, taken: frozenset[str]) -> Candidate | None:
    """Draw a candidate that is not taken; None when, and only when, there is none."""
    for _ in range(MAX_DRAWS):
        candidate = space.sample(rng)
        if candidate.identity not in taken:
            return candidate
    if space.count() is None:
        return _draw_continuous(space, rng, taken)
    # Of any len(taken) + 1 different candidates at least one is free.
    listed = islice(space.enumerate(), max(MAX_LISTED, len(taken) + 1))
    free = [candidate for candidate in listed if candidate.identity not in taken]
    return free[rng.randrange(len(free))] if free else None


def _draw_continuous(space: SearchSpace, rng: random.Random, taken: frozenset[str]) -> Candidate:
    """A continuous dimension always has a value left (`recipe_space` refuses ranges too narrow for that)."""
    while True:
        candidate = space.sample(rng)
        if candidate.identity not in taken:
            return candidate


def next_prefix(
    space: SearchSpace,
    worth: Mapping[str, float],
    first_sizes: Sequence[int],
    recipe: Mapping[str, RecipeValue],
    taken: frozenset[str],
) -> Candidate | None:
    """The next untried composition of the k worthiest sources: the given sizes first, then all sizes."""
    by_name = sorted(worth)
    ranked = [by_name[place] for place in descending([worth[source] for source in by_name])]
    for size in dict.fromkeys([*first_sizes, *range(1, len(ranked) + 1)]):
        candidate = Candidate(filled(ranked[:size], space.composition), recipe)
        if candidate.identity not in taken:
            return candidate
    return None
