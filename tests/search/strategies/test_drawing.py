"""What the strategies share."""

from __future__ import annotations

import random

from search.space.candidate import SearchSpace
from search.space.composition_space import CompositionSpace
from search.strategies.drawing import draw_untaken


def test_the_last_free_candidates_are_found_and_drawn_evenly() -> None:
    space = SearchSpace(
        composition=CompositionSpace(sources=tuple("abcdefghijkl"), num_samples=(1,), budget=12, max_size=6)
    )
    listed = list(space.enumerate())
    random.Random(0).shuffle(listed)
    # Sizes of 5 and 6 subsets: a draw meets one of these three in one of some thousand tries.
    free = [candidate for candidate in listed if len(candidate.composition) >= 5][:3]
    taken = frozenset(candidate.identity for candidate in listed) - {candidate.identity for candidate in free}
    drawn = [draw_untaken(space, random.Random(seed), taken) for seed in range(30)]
    assert set(drawn) == set(free)
    last = taken | {free[0].identity, free[1].identity}
    assert draw_untaken(space, random.Random(0), last) == free[2]
    assert draw_untaken(space, random.Random(0), last | {free[2].identity}) is None
