"""Which finalists a confirmation goes on with, and which one it recommends."""

from __future__ import annotations

from collections.abc import Sequence

from search.evidence.confirmation.comparisons import SplitEvidence
from search.evidence.confirmation.training_cost import cheapest_within
from search.statistics.racing import worth_another_seed
from search.statistics.ties import index_of_largest

# What a choice may lose on average at one look by giving finalists up, a tenth of a point on the same questions; what a
# composition is worth on others differs less, because half and more of such a lead is luck.
LEAST_LOSS = 0.001
# One seed shows nothing of its own noise.
FIRST_LOOK = 2


def finalists_left(evidence: SplitEvidence, arms: Sequence[str], most_seeds: int) -> list[str]:
    """The finalists that are worth another seed; see `racing.worth_another_seed`.

    Args:
        evidence: what was scored on `confirm`.
        arms: all finalists, by their rank in the search; those that were given up have been tried with fewer seeds.
        most_seeds: seeds that a finalist has at most.
    """
    running = _most_tried(evidence, arms)
    scored = {arm: values for arm in running if (values := evidence.by_seed(arm)) is not None}
    others = [values for arm in arms if arm not in running and (values := evidence.by_seed(arm)) is not None]
    if not scored:
        return running  # all have failed so far
    left = worth_another_seed(list(scored.values()), others, most_seeds=most_seeds, least_loss=LEAST_LOSS)
    return [list(scored)[place] for place in left]


def best_finalist(evidence: SplitEvidence, arms: Sequence[str], *, within: float | None = None) -> str | None:
    """The finalist that is recommended; None where none was scored on every target.

    The highest mean of those that no race has given up; ties go to the better rank in the search.

    Args:
        evidence: what was scored on `confirm`.
        arms: all finalists, by their rank in the search.
        within: points by which a finalist that is cheaper to train may be below the highest; None for none.
    """
    scored = {arm: accuracy for arm in arms if (accuracy := evidence.accuracy(arm)) is not None}
    running = {arm: scored[arm] for arm in _most_tried(evidence, list(scored))}
    if running and within is not None:
        costs = [evidence.cost(arm) for arm in running]
        return list(running)[cheapest_within(costs, list(running.values()), within / 100)]
    return list(running)[index_of_largest(list(running.values()))] if running else None


def _most_tried(evidence: SplitEvidence, arms: Sequence[str]) -> list[str]:
    """The arms that were trained with most seeds, failed trials counted."""
    tried = {arm: evidence.num_tried(arm) for arm in arms}
    return [arm for arm in arms if tried[arm] == max(tried.values())]
