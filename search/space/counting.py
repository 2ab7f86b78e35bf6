"""How many ways there are to give k subsets their numbers of samples within a budget; exact."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate


class BudgetTable:
    """Counts and draws tuples over a grid whose sum stays within a budget.

    Args:
        grid: the numbers of samples a chosen subset may have, ascending and distinct.
        budget: the largest sum of a tuple.
        max_size: the longest tuple that will be asked for.
    """

    def __init__(self, grid: tuple[int, ...], budget: int, max_size: int) -> None:
        self._grid = grid
        self._budget = budget
        # ways[k][s]: tuples of length k with sum exactly s. Only reachable sums are kept.
        ways: list[dict[int, int]] = [{0: 1}]
        for _ in range(max_size):
            longer: dict[int, int] = {}
            for total, count in ways[-1].items():
                for step in grid:
                    if total + step > budget:
                        break
                    longer[total + step] = longer.get(total + step, 0) + count
            ways.append(longer)
        self._sums = [sorted(level) for level in ways]
        self._cumulated = [list(accumulate(level[s] for s in sorted(level))) for level in ways]

    def count(self, size: int, budget: int | None = None) -> int:
        """How many tuples of length `size` have a sum of at most `budget` (default: the table's)."""
        limit = self._budget if budget is None else budget
        if size < 0 or size >= len(self._sums):
            return 0
        position = bisect_right(self._sums[size], limit)
        return self._cumulated[size][position - 1] if position else 0

    def draw(self, rng: random.Random, size: int) -> tuple[int, ...]:
        """Draw a tuple of length `size` uniformly among all that fit; exact, nothing is rejected."""
        drawn: list[int] = []
        left = self._budget
        for rest in range(size - 1, -1, -1):
            weights = [self.count(rest, left - step) for step in self._grid]
            position = rng.randrange(sum(weights))
            chosen = bisect_right(list(accumulate(weights)), position)
            drawn.append(self._grid[chosen])
            left -= self._grid[chosen]
        return tuple(drawn)


@lru_cache(maxsize=32)
def budget_table(grid: tuple[int, ...], budget: int, max_size: int) -> BudgetTable:
    """The table for these arguments, built once a process."""
    return BudgetTable(grid, budget, max_size)


def ways_by_total(
    levels: Mapping[str, Sequence[int]], must_have: Collection[str], budget: int, unit: int = 1
) -> dict[tuple[int, int], int]:
    """How many ways there are to choose subsets that differ in their numbers of samples, by (number, total).

    Args:
        levels: numbers of samples by subset.
        must_have: subsets that are always chosen.
        budget: totals above it are left out.
        unit: totals are rounded down to multiples of it, so that there are few: then totals are too small.
    """
    ways = {(0, 0): 1}
    for subset, counts in levels.items():
        longer = {} if subset in must_have else dict(ways)
        for (number, total), count in ways.items():
            for step in counts:
                place = (number + 1, total + step // unit * unit)
                if place[1] <= budget:
                    longer[place] = longer.get(place, 0) + count
        ways = longer
    return ways
