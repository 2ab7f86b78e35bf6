"""Which candidates a model is asked about, and how much one of them may gain."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.space.repair import nearest
from search.statistics.ties import descending, index_of_largest
from search.strategies.surrogate.encoding import Encoded, encode
from search.strategies.surrogate.gaussian_process import Prediction

Floats = NDArray[np.float64]
MAX_ENUMERATED: Final = 2**16
# Standard deviations below the incumbent beyond which the difference in the improvement's tail is all rounding (the
# fourth root of 3 / 2.2e-16, where that error is that of the series' first term).
FAR_TAIL: Final = -1e4
# Two expected improvements are equal that differ by a millionth part: ten deviations below the incumbent, means that
# are known to 1e-10 of a deviation give their logarithm to 1e-9.
LOG_TOLERANCE: Final = 1e-6
# Local search: so many starts and rounds, and a cap on the neighbours of one candidate.
NUM_STARTS, NUM_RANDOM, NUM_ROUNDS, MAX_NEIGHBOURS = 8, 64, 4, 160


@lru_cache(maxsize=2)
def enumerated(space_json: str) -> tuple[tuple[Candidate, ...], Encoded] | None:
    """All candidates of a space and their encoding; None when there are more than `MAX_ENUMERATED`."""
    space = SearchSpace.model_validate_json(space_json)
    count = space.count()
    if count is None or count > MAX_ENUMERATED:
        return None
    candidates = tuple(space.enumerate())
    return candidates, encode(candidates, space)


def log_expected_improvement(prediction: Prediction, incumbent: float) -> Floats:
    """Logarithm of how much a candidate is expected to exceed the incumbent by, [n].

    Far below the incumbent the two terms of the improvement cancel, and then it underflows: candidates would differ
    by rounding, or not at all. Three ranges as in Ament et al. (NeurIPS 2023), "LogEI", equation 9.
    """
    from scipy.special import erfcx, ndtr

    z = (prediction.mean - incumbent) / prediction.deviation
    near, far = np.maximum(z, -1.0), np.minimum(z, -1.0)
    direct = np.log(np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi) + near * ndtr(near))
    rest = np.where(far > FAR_TAIL, 1 + far * np.sqrt(np.pi / 2) * erfcx(-far / np.sqrt(2)), far**-2.0)
    tail = -0.5 * far**2 - 0.5 * np.log(2 * np.pi) + np.log(rest)
    improvement: Floats = np.log(prediction.deviation) + np.where(z > -1.0, direct, tail)
    return improvement


def local_search(
    space: SearchSpace,
    starts: Sequence[Candidate],
    rng: random.Random,
    excluded: frozenset[str],
    value: Callable[[Sequence[Candidate]], Floats],
    tolerance: float | None = None,
) -> tuple[Candidate, float] | None:
    """The best candidate met on a walk from good starts, in spaces too large to list.

    Args:
        space: what may be proposed.
        starts: candidates whose neighbours are looked at first.
        rng: of the random starts and of the neighbours.
        excluded: identities that are not proposed.
        value: of candidates, to be maximised.
        tolerance: within which values are equal, see `ties.ranks`.
    """
    seen: dict[str, tuple[Candidate, float]] = {}

    def look(candidates: Iterable[Candidate]) -> None:
        fresh = {c.identity: c for c in candidates if c.identity not in excluded and c.identity not in seen}
        if fresh:
            values = value(list(fresh.values()))
            seen.update({c.identity: (c, float(v)) for c, v in zip(fresh.values(), values, strict=True)})

    look(space.sample(rng) for _ in range(NUM_RANDOM))
    look(neighbour for start in starts[:NUM_STARTS] for neighbour in neighbours(start, space, rng))
    walked: set[str] = set()
    for _ in range(NUM_ROUNDS):
        met = list(seen.values())
        best = [met[place][0] for place in descending([v for _, v in met], tolerance=tolerance)[:NUM_STARTS]]
        ahead = [candidate for candidate in best if candidate.identity not in walked]
        if not ahead:
            break
        walked |= {candidate.identity for candidate in ahead}
        look(neighbour for candidate in ahead for neighbour in neighbours(candidate, space, rng))
    met = list(seen.values())
    return met[index_of_largest([v for _, v in met], tolerance=tolerance)] if met else None


def neighbours(candidate: Candidate, space: SearchSpace, rng: random.Random) -> list[Candidate]:
    """Candidates one step away: a source more, less or exchanged, its samples, or one hyper-parameter."""
    found = [
        Candidate(Composition(counts), candidate.recipe)
        for counts in _count_steps(dict(candidate.composition), space.composition)
        if space.composition.contains(counts)
    ]
    for name, dimension in space.recipe.dimensions.items():
        options = dimension.options()
        values = [dimension.sample(rng) for _ in range(4)] if options is None or len(options) > 8 else options
        found += [Candidate(candidate.composition, {**candidate.recipe, name: value}) for value in values]
    found = [other for other in found if other.identity != candidate.identity]
    return rng.sample(found, MAX_NEIGHBOURS) if len(found) > MAX_NEIGHBOURS else found


def _count_steps(counts: dict[str, int], space: CompositionSpace) -> Iterable[dict[str, int]]:
    absent = [source for source in space.allowed if source not in counts]
    for source, count in counts.items():
        rest = {other: n for other, n in counts.items() if other != source}
        yield rest
        yield from ({**counts, source: step} for step in space.grid_of(source) if step != count)
        yield from ({**rest, other: nearest(count, space.grid_of(other))} for other in absent)
    for other in absent:
        yield from ({**counts, other: step} for step in space.grid_of(other))
