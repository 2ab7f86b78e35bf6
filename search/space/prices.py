"""What a composition costs, and the one near it that costs less."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence

from datasets_spec.errors import UserError

# Sums of prices are compared with so much room: ten samples at 0.1 cost 1, whatever binary fractions make of it.
TOLERANCE = 1e-9


def cost_of(counts: Mapping[str, int], costs: Mapping[str, float]) -> float:
    """Samples times cost of one, over all subsets."""
    return sum(num_samples * costs[subset] for subset, num_samples in counts.items() if num_samples)


def picks_within(
    optional: Sequence[str], size: int, costs: Mapping[str, float], left: float
) -> Iterator[tuple[str, ...]]:
    """All choices of `size` subsets whose costs add up to at most `left`, in the order of `itertools.combinations`.

    Args:
        optional: the subsets to choose from.
        size: how many.
        costs: of each at its smallest number of samples.
        left: what they may cost together.
    """
    if size == 0:
        if left >= -TOLERANCE:
            yield ()
        return
    for place in range(len(optional) - size + 1):
        cheapest = sum(heapq.nsmallest(size - 1, (costs[s] for s in optional[place + 1 :])))
        first = costs[optional[place]]
        if first + cheapest > left + TOLERANCE:
            continue
        for rest in picks_within(optional[place + 1 :], size - 1, costs, left - first):
            yield (optional[place], *rest)


def cheaper(
    counts: Mapping[str, int],
    *,
    levels: Mapping[str, Sequence[int]],
    costs: Mapping[str, float],
    max_cost: float,
    must_have: Sequence[str],
    allowed: Sequence[str],
    min_size: int,
    order: Callable[[str], str],
) -> dict[str, int]:
    """Samples and subsets taken away until a composition costs at most `max_cost`; itself if it does.

    The dearest subset steps down the grid; at the smallest count the dearest that need not stay leaves, or, where
    none may leave, makes place for the cheapest absent one.

    Args:
        counts: a composition without cost constraint.
        levels: numbers of samples by subset, ascending.
        costs: of a sample.
        max_cost: which some composition of `min_size` subsets keeps.
        must_have: subsets that stay.
        allowed: subsets that may enter.
        min_size: the smallest number of subsets.
        order: breaks ties.

    Raises:
        UserError: no composition of that size keeps `max_cost`.
    """

    def least(subset: str) -> float:
        return costs[subset] * levels[subset][0]

    kept = dict(counts)
    while cost_of(kept, costs) > max_cost + TOLERANCE:
        dear = sorted(kept, key=lambda s: (-kept[s] * costs[s], order(s)))
        reducible = [s for s in dear if kept[s] > levels[s][0] and costs[s] > 0]
        optional = [s for s in dear if s not in must_have]
        absent = sorted((s for s in allowed if s not in kept), key=lambda s: (least(s), order(s)))
        if reducible:
            kept[reducible[0]] = max(n for n in levels[reducible[0]] if n < kept[reducible[0]])
        elif len(kept) > min_size and optional:
            del kept[optional[0]]
        elif optional and absent and least(absent[0]) < least(optional[0]):
            del kept[optional[0]]
            kept[absent[0]] = levels[absent[0]][0]
        else:
            raise UserError(f"no composition of {len(kept)} subsets costs at most {max_cost:g}")
    return kept
