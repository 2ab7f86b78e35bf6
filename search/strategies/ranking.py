"""Which result is best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

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


def one_each(observations: Iterable[Observation]) -> list[Observation]:
    """One result a candidate, in the order of the first: the best of a repeated training would be luck."""
    results: dict[Candidate, list[Observation]] = {}
    for observation in observations:
        results.setdefault(observation.candidate, []).append(observation)
    return [mean_result(each) for each in results.values()]


def mean_result(repeated: Sequence[Observation]) -> Observation:
    """The mean over the results of one candidate that have a value; where none has, how the first one ended."""
    counted = [observation for observation in repeated if observation.values is not None] or list(repeated[:1])
    values = [observation.values for observation in counted if observation.values is not None]
    scores = [observation.scores for observation in counted if observation.scores is not None]
    return replace(
        counted[0],
        values=tuple(sum(column) / len(values) for column in zip(*values, strict=True)) if values else None,
        proposal_index=min(observation.proposal_index for observation in repeated),
        scores=_mean_scores(scores) if scores else None,
    )


def _mean_scores(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of every evaluation set that all were scored on."""
    names = [name for name in scores[0] if all(name in other for other in scores)]
    return {name: sum(other[name] for other in scores) / len(scores) for name in names}
