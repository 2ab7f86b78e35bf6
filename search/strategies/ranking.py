"""Which result is best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from search.space.candidate import Candidate
from search.strategies.interface import Observation


def best_observed(history: Sequence[Observation], target: str | None = None) -> Observation | None:
    """The observation with the highest value (of one target, if given); ties go to the earlier proposal."""
    scored = [(score, -o.proposal_index, o) for o in history if (score := score_of(o, target)) is not None]
    return max(scored, key=lambda entry: entry[:2])[2] if scored else None


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
    left = [o for o in observations if o.values is not None]
    order: list[Observation] = []
    while left:
        front = [o for o in left if not any(_dominates(other, o) for other in left)]
        order += sorted(front, key=lambda o: (-sum(o.values or ()), o.proposal_index))
        left = [o for o in left if o not in front]
    return order


def _dominates(a: Observation, b: Observation) -> bool:
    pairs = list(zip(a.values or (), b.values or (), strict=True))
    return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates in their order, each once."""
    return list(dict.fromkeys(candidates))
