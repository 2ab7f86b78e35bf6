"""Which result is best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from search.space.candidate import Candidate
from search.statistics.ties import index_of_largest, ranks
from search.strategies.interface import Observation


def best_observed(history: Sequence[Observation], target: str | None = None) -> Observation | None:
    """The observation with the highest value (of one target, if given); ties go to the earlier proposal."""
    in_order = sorted(history, key=lambda o: o.proposal_index)
    scored = [(score, o) for o in in_order if (score := score_of(o, target)) is not None]
    return scored[index_of_largest([score for score, _ in scored])][1] if scored else None


def score_of(observation: Observation, target: str | None = None) -> float | None:
    """A target's accuracy, or the sum of the objectives; None when the trial has no finite result."""
    if target is not None:
        score = (observation.scores or {}).get(target)
    else:
        score = None if observation.values is None else sum(observation.values)
    return score if score is not None and math.isfinite(score) else None


def ranked(observations: Sequence[Observation]) -> list[Observation]:
    """Return the observations that have values, best first.

    With two objectives the non-dominated front comes first, then the next front, and within a front the higher
    mean; ties go to the earlier proposal.
    """
    valued = [o for o in observations if o.values is not None]
    objectives = [ranks(values) for values in zip(*(o.values or () for o in valued), strict=True)]
    places = [tuple(int(rank) for rank in one) for one in zip(*objectives, strict=True)]
    sums = ranks([sum(o.values or ()) for o in valued])
    left = list(range(len(valued)))
    order: list[Observation] = []
    while left:
        front = [k for k in left if not any(_dominates(places[other], places[k]) for other in left)]
        order += [valued[k] for k in sorted(front, key=lambda k: (sums[k], valued[k].proposal_index))]
        left = [k for k in left if k not in front]
    return order


def _dominates(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether the ranks in every objective are as good, and not all the same."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates in their order, each once."""
    return list(dict.fromkeys(candidates))
