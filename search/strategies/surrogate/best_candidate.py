"""The candidate of highest value by a model: of all where they can be listed, else of those that a walk meets."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.space.candidate import Candidate
from search.statistics.ties import descending, index_of_largest
from search.strategies.surrogate.acquisition import enumerated, local_search
from search.strategies.surrogate.feasibility import Ask
from search.strategies.surrogate.knowledge import Knowledge

Floats = NDArray[np.float64]
# Candidates that a quick look at the likeliest hyper-parameters leaves for a full one.
NUM_SCREENED: Final = 512
SCREENING_BLOCK: Final = 8192


def best_candidate(
    knowledge: Knowledge,
    space_json: str,
    excluded: frozenset[str],
    value: Callable[[Ask], Floats],
    *,
    starts: Floats,
    rng: random.Random,
    tolerance: float | None,
) -> tuple[Candidate, float] | None:
    """The candidate of highest value that is not excluded; the first of those within `tolerance` of it.

    Args:
        knowledge: the model.
        space_json: of the candidates.
        excluded: identities that are not proposed.
        value: of some candidates, [n], from their posteriors.
        starts: weights of the targets by which a walk's starts are ranked.
        rng: of the walk.
        tolerance: within which values are equal, see `ties.ranks`.
    """
    listed = enumerated(space_json)
    if listed is None:
        return local_search(
            knowledge.facts.space,
            knowledge.ranked_candidates(starts),
            rng,
            excluded,
            lambda some: value(lambda weights: knowledge.predict(some, weights)),
            tolerance,
        )
    candidates, encoded = listed
    ask = partial(knowledge.predict_encoded, candidates, encoded)
    free = np.array([i for i, c in enumerate(candidates) if c.identity not in excluded], dtype=np.intp)
    if len(free) > NUM_SCREENED:
        blocks = [free[k : k + SCREENING_BLOCK] for k in range(0, len(free), SCREENING_BLOCK)]
        rough = [value(partial(ask, block, num_points=1)) for block in blocks]
        free = free[descending(np.concatenate(rough), tolerance=tolerance)[:NUM_SCREENED]]
    if not len(free):
        return None
    values = value(partial(ask, free, num_points=None))
    best = index_of_largest(values, tolerance=tolerance)
    return candidates[free[best]], float(values[best])
