"""Rules that users go by without a search: what shares most with the targets, and what has helped elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datasets_spec.errors import UserError
from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.recipe_space import RecipeValue
from search.space.repair import repair
from search.strategies.context import SearchContext, num_shared
from search.strategies.interface import Observation, Suggestion, derived_rng, draw_untaken, score_of, taken_identities
from search.vocabulary import Status


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
        found = _next_prefix(self._space, self._shared, self._first_sizes(), recipe, taken)
        if found is not None:
            mean = sum(self._shared[s] for s in found.composition) / len(found.composition)
            return Suggestion(candidate=found, reason=f"its subsets share {mean:.2f} elements with a target on average")
        drawn = draw_untaken(self._space, rng, taken)
        return None if drawn is None else Suggestion(candidate=drawn, reason="random: the rule has no more to say")

    def _first_sizes(self) -> list[int]:
        """All sources that share most come first, then those that share anything, then every other size."""
        levels = sorted(set(self._shared.values()), reverse=True)
        return [sum(shared >= level for shared in self._shared.values()) for level in levels if level > 0]


class StaticStrategy:
    """Trains every source alone, ranks them by their mean score on the other targets, and tries the best few.

    The rule knows nothing of the target itself: what it reaches is what "good data" alone is worth. Where there are
    no other targets, it goes by the objective.
    """

    name = "static"

    def __init__(
        self, *, space: SearchSpace, seed: int, num_objectives: int = 1, context: SearchContext | None = None
    ) -> None:
        context = context or SearchContext()
        self._space = space
        self._seed = seed
        self._known = context.known
        wanted = set(context.objective_sets)
        self._others = tuple(name for name in context.target_keys if name not in wanted)

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """See `Strategy.ask`."""
        taken = taken_identities(history, pending)
        rng = derived_rng(self._seed, self.name, len(taken))
        recipe = self._space.recipe.sample(rng)
        ended = [*self._known, *history]
        alone = {o.candidate.composition.subsets[0] for o in ended if len(o.candidate.composition) == 1}
        alone |= {c.composition.subsets[0] for c in pending if len(c.composition) == 1}
        most = max(step for step in self._space.composition.grid if step <= self._space.composition.budget)
        for source in self._space.composition.allowed:
            single = Candidate(Composition({source: most}), recipe)
            if source not in alone and self._space.contains(single) and single.identity not in taken:
                return Suggestion(candidate=single, reason=f"{source} alone, to rank it")
        benefits = self._benefits(ended)
        found = _next_prefix(self._space, benefits, [], recipe, taken) if benefits else None
        if found is not None:
            reason = f"the {len(found.composition)} subsets with the highest mean over other targets"
            return Suggestion(candidate=found, reason=reason)
        drawn = draw_untaken(self._space, rng, taken)
        return None if drawn is None else Suggestion(candidate=drawn, reason="random: the rule has no more to say")

    def _benefits(self, ended: Sequence[Observation]) -> dict[str, float]:
        """Mean score of each source alone on the other targets; sources without a result come last."""
        found: dict[str, float] = {}
        for observation in ended:
            if len(observation.candidate.composition) != 1 or observation.status is not Status.finished:
                continue
            scores = [score_of(observation, name) for name in self._others] or [score_of(observation)]
            known = [score for score in scores if score is not None]
            if known:
                found[observation.candidate.composition.subsets[0]] = sum(known) / len(known)
        lowest = min(found.values(), default=0.0)
        return {s: found.get(s, lowest - 1.0) for s in self._space.composition.allowed} if found else {}


def _next_prefix(
    space: SearchSpace,
    worth: Mapping[str, float],
    first_sizes: Sequence[int],
    recipe: Mapping[str, RecipeValue],
    taken: frozenset[str],
) -> Candidate | None:
    """The next untried composition of the k worthiest sources: the given sizes first, then all sizes."""
    ranked = sorted(worth, key=lambda source: (-worth[source], source))
    for size in dict.fromkeys([*first_sizes, *range(1, len(ranked) + 1)]):
        fitting = [step for step in space.composition.grid if step * size <= space.composition.budget]
        counts = dict.fromkeys(ranked[:size], max(fitting, default=space.composition.grid[0]))
        candidate = Candidate(repair(counts, space.composition), recipe)
        if candidate.identity not in taken:
            return candidate
    return None
