"""Every candidate once: the ground truth of small spaces."""

from __future__ import annotations

from collections.abc import Sequence

from datasets_spec.errors import UserError
from search.space.candidate import Candidate, SearchSpace
from search.space.recipe_space import Choice
from search.strategies.drawing import taken_identities
from search.strategies.interface import Observation, Suggestion

# More trials than any study has run; a larger space is a mistake in the study file.
MAX_CANDIDATES = 100_000


class ExhaustiveStrategy:
    """Walks through all compositions and recipe choices in a stable order, small compositions first.

    Raises:
        UserError: a recipe dimension is no choice, or there are more than `MAX_CANDIDATES` candidates.
    """

    name = "exhaustive"

    def __init__(self, *, space: SearchSpace, seed: int, num_objectives: int = 1) -> None:
        ranges = [name for name, dim in space.recipe.dimensions.items() if not isinstance(dim, Choice)]
        if ranges:
            raise UserError(
                f"the exhaustive strategy needs listed values, but {', '.join(ranges)} is a range",
                hint=f"write {ranges[0]} as a list of values, or use the strategy 'random' or 'optuna-tpe'",
            )
        num_candidates = space.count()
        assert num_candidates is not None
        if num_candidates > MAX_CANDIDATES:
            raise UserError(
                f"the space has {num_candidates} candidates, more than {MAX_CANDIDATES}",
                hint="lower max_size, shorten num_samples, or use the strategy 'random' or 'optuna-tpe'",
            )
        self._space = space
        self._num_candidates = num_candidates

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """See `Strategy.ask`."""
        taken = taken_identities(history, pending)
        for number, candidate in enumerate(self._space.enumerate(), start=1):
            if candidate.identity not in taken:
                return Suggestion(candidate=candidate, reason=f"candidate {number} of {self._num_candidates}")
        return None
