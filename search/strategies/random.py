"""Random search: the yardstick every other strategy must beat."""

from __future__ import annotations

from collections.abc import Sequence

from search.seeds import derived_rng
from search.space.candidate import Candidate, SearchSpace
from search.strategies.drawing import draw_untaken, taken_identities
from search.strategies.interface import Observation, Suggestion


class RandomStrategy:
    """Draws the number of subsets uniformly, then a composition of that size uniformly, then the recipe.

    The draw depends on how many candidates were proposed, not on what came of them: results that arrive in
    another order change nothing, and the trials stay a random sample to estimate transfer from.
    """

    name = "random"

    def __init__(self, *, space: SearchSpace, seed: int, num_objectives: int = 1) -> None:
        self._space = space
        self._seed = seed

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """See `Strategy.ask`."""
        taken = taken_identities(history, pending)
        candidate = draw_untaken(self._space, derived_rng(self._seed, self.name, len(taken)), taken)
        if candidate is None:
            return None
        size = len(candidate.composition)
        return Suggestion(candidate=candidate, reason=f"random draw {len(taken) + 1}, {size} subset(s)")
