"""What a search tries before it has learned anything: a fixed list, so that all of it can be packed and run at once.

Every source alone (where the transfer matrix has not trained them already), everything together, then compositions in
which all sources come equally often. Replays of the digits tables show no gain from choosing by a model earlier than
after some two dozen results (docs/benchmarks.md).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from search.seeds import derived_rng
from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.repair import filled, repair, single_source
from search.strategies.interface import SearchContext

# Results to begin with: so many, or two for every source.
FEWEST_RESULTS: Final = 24
RESULTS_A_SOURCE: Final = 2
# A draw that the space or the list holds already is drawn again so often.
MAX_REDRAWS: Final = 20


def results_to_begin(space: SearchSpace) -> int:
    """How many results there should be before a model chooses: for a whole opening with nothing known before it."""
    return max(FEWEST_RESULTS, RESULTS_A_SOURCE * len(space.composition.allowed))


def opening(space: SearchSpace, context: SearchContext, *, seed: int) -> list[tuple[Candidate, str]]:
    """The candidates of the opening in their order, each with its reason; at most half of the search's trials.

    Args:
        space: of the candidates.
        context: of the study: its recipe, its number of trials, and what is known already.
        seed: of the study.
    """
    sources = space.composition.allowed
    recipe = context.recipe
    if space.recipe.violations(recipe):
        recipe = space.recipe.sample(derived_rng(seed, "opening", "recipe"))
    half = None if context.num_trials is None else max(1, context.num_trials // 2)
    known = {o.candidate.composition for o in context.known if set(o.candidate.composition) <= set(sources)}
    wanted = results_to_begin(space) - len(known)
    made: dict[Candidate, str] = {}
    if half is None or len(sources) <= half:
        # The matrix trains a small source with what it has: that is known, whatever the number.
        known_alone = {composition.subsets[0] for composition in known if len(composition) == 1}
        alone = {s: Candidate(single_source(s, space.composition), recipe) for s in sources if s not in known_alone}
        made = {candidate: f"{source} alone: a matrix row" for source, candidate in alone.items()}
    if len(sources) in space.composition.sizes:
        made[Candidate(filled(sources, space.composition), recipe)] = "all sources together"
    made = {c: reason for c, reason in made.items() if space.contains(c) and c.composition not in known}
    num = max(0, min(wanted, wanted if half is None else half) - len(made))
    taken = {*known, *(candidate.composition for candidate in made)}
    for candidate in _balanced(space, derived_rng(seed, "opening"), num, taken):
        made[candidate] = "opening: every source as often as the others"
    return list(made.items())


def _balanced(space: SearchSpace, rng: random.Random, num: int, taken: set[Composition]) -> Iterator[Candidate]:
    """Different compositions of two and more sources that take the least used ones first, sizes in turn."""
    composition = space.composition
    several = [size for size in composition.sizes if size > 1]
    sizes = [size for size in several if size <= max(2, len(composition.allowed) // 2)] or several[:1]
    uses = dict.fromkeys(composition.optional, 0)
    for place in range(num if sizes else 0):
        size = sizes[place % len(sizes)]
        for _ in range(MAX_REDRAWS):
            rank = {source: (used, rng.random()) for source, used in uses.items()}
            optional = sorted(uses, key=rank.__getitem__)[: size - len(composition.must_have)]
            subsets = (*composition.must_have, *optional)
            made = repair({s: rng.choice(composition.grid_of(s)) for s in subsets}, composition)
            if made not in taken and composition.contains(made):
                break
        else:
            return
        taken.add(made)
        for source in optional:
            uses[source] += 1
        searched = space.recipe.sample(rng) if space.recipe.dimensions else {}
        yield Candidate(made, searched)
