"""The rule that goes by keys: what shares most with the targets."""

from __future__ import annotations

from collections.abc import Sequence

from datasets_spec.errors import UserError
from search.seeds import derived_rng
from search.space.candidate import Candidate, SearchSpace
from search.strategies.drawing import draw_untaken, next_prefix, taken_identities
from search.strategies.interface import Observation, SearchContext, Suggestion, num_shared


class MetadataStrategy:
    """Ranks sources by the elements they share with the targets; tries the best one, the best two, and so on.

    Raises:
        UserError: the keys of sources or targets are not known.
    """

    name = "metadata"

    def __init__(
        self, *, space: SearchSpace, seed: int, num_objectives: int = 1, context: SearchContext | None = None
    ) -> None:
        context = context or SearchContext()
        wanted = context.objective_sets or tuple(context.target_keys)
        missing = [source for source in space.composition.allowed if source not in context.source_keys]
        if missing or not wanted or any(name not in context.target_keys for name in wanted):
            raise UserError(
                "the strategy 'metadata' goes by keys, which are not known here",
                hint="use it in a study with a catalog, or the strategy 'random'",
            )
        self._space = space
        self._seed = seed
        self._shared = {
            source: sum(
                num_shared(context.source_keys[source], context.target_keys[t], context.task_map) for t in wanted
            )
            / len(wanted)
            for source in space.composition.allowed
        }

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """See `Strategy.ask`."""
        taken = taken_identities(history, pending)
        rng = derived_rng(self._seed, self.name, len(taken))
        recipe = self._space.recipe.sample(rng)
        found = next_prefix(self._space, self._shared, self._first_sizes(), recipe, taken)
        if found is not None:
            mean = sum(self._shared[s] for s in found.composition) / len(found.composition)
            return Suggestion(candidate=found, reason=f"its subsets share {mean:.2f} elements with a target on average")
        drawn = draw_untaken(self._space, rng, taken)
        return None if drawn is None else Suggestion(candidate=drawn, reason="random: the rule has no more to say")

    def _first_sizes(self) -> list[int]:
        """All sources that share most come first, then those that share anything, then every other size."""
        levels = sorted(set(self._shared.values()), reverse=True)
        return [sum(shared >= level for shared in self._shared.values()) for level in levels if level > 0]
