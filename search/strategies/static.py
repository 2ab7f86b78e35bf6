"""The rule that goes by what has helped elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from search.seeds import derived_rng
from search.space.candidate import Candidate, SearchSpace
from search.space.repair import single_source
from search.strategies.drawing import draw_untaken, next_prefix, taken_identities
from search.strategies.interface import Observation, SearchContext, Suggestion
from search.strategies.ranking import score_of
from search.vocabulary import Status


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
        self._others = tuple(name for name in context.target_keys if name not in wanted and name not in context.kept)

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """See `Strategy.ask`."""
        taken = taken_identities(history, pending)
        rng = derived_rng(self._seed, self.name, len(taken))
        recipe = self._space.recipe.sample(rng)
        ended = [*self._known, *history]
        alone = {o.candidate.composition.subsets[0] for o in ended if len(o.candidate.composition) == 1}
        alone |= {c.composition.subsets[0] for c in pending if len(c.composition) == 1}
        for source in self._space.composition.allowed:
            single = Candidate(single_source(source, self._space.composition), recipe)
            if source not in alone and self._space.contains(single) and single.identity not in taken:
                return Suggestion(candidate=single, reason=f"{source} alone, to rank it")
        benefits = self._benefits(ended)
        found = next_prefix(self._space, benefits, [], recipe, taken) if benefits else None
        if found is not None:
            reason = f"the {len(found.composition)} subsets with the highest mean over other targets"
            return Suggestion(candidate=found, reason=reason)
        drawn = draw_untaken(self._space, rng, taken)
        return None if drawn is None else Suggestion(candidate=drawn, reason="random: the rule has no more to say")

    def _benefits(self, ended: Sequence[Observation]) -> dict[str, float]:
        """Mean score of each source alone on the other targets; sources without a result come last."""
        by_source: dict[str, list[float]] = {}
        for observation in ended:
            if len(observation.candidate.composition) != 1 or observation.status is not Status.finished:
                continue
            scores = [score_of(observation, name) for name in self._others] or [score_of(observation)]
            known = [score for score in scores if score is not None]
            if known:
                source = observation.candidate.composition.subsets[0]
                by_source.setdefault(source, []).append(sum(known) / len(known))
        found = {source: sum(each) / len(each) for source, each in by_source.items()}
        lowest = min(found.values(), default=0.0)
        return {s: found.get(s, lowest - 1.0) for s in self._space.composition.allowed} if found else {}
