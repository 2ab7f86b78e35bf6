"""Forward selection: the best single source, then the best with it, and so on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.seeds import derived_rng
from search.space.candidate import Candidate, SearchSpace
from search.space.repair import filled
from search.statistics.ties import index_of_largest
from search.strategies.drawing import draw_untaken, taken_identities
from search.strategies.interface import Observation, Suggestion
from search.strategies.ranking import score_of


class GreedyStrategy:
    """Adds to the best composition of one size each source in turn; the best of these is the next base.

    When no source is left to add, or nothing new can be reached, the rest of the space is drawn at random. Every
    source enters with the most samples that the budget allows to all of the composition; the recipe is drawn anew.
    """

    name = "greedy"

    def __init__(self, *, space: SearchSpace, seed: int, num_objectives: int = 1) -> None:
        self._space = space
        self._seed = seed

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """See `Strategy.ask`."""
        taken = taken_identities(history, pending)
        rng = derived_rng(self._seed, self.name, len(taken))
        recipe = self._space.recipe.sample(rng)
        scores = _best_scores(history)
        started = {frozenset(c.composition) for c in pending} | {frozenset(o.candidate.composition) for o in history}
        base: frozenset[str] = frozenset(self._space.composition.must_have)
        while absent := [s for s in self._space.composition.allowed if s not in base]:
            grown = {source: self._with(base, source, recipe) for source in absent}
            for source, candidate in grown.items():
                fresh = frozenset(candidate.composition) not in started and candidate.identity not in taken
                if fresh and self._space.contains(candidate):
                    reason = f"{source} with {'+'.join(sorted(base)) or 'nothing else'}"
                    return Suggestion(candidate=candidate, reason=reason)
            tried = [c for c in map(frozenset, (c.composition for c in grown.values())) if c in scores]
            tried.sort(key=sorted, reverse=True)  # decides ties
            best = tried[index_of_largest([scores[subsets] for subsets in tried])] if tried else base
            if len(best) <= len(base):
                break  # nothing of this size has a result, or constraints leave no larger one
            base = best
        drawn = draw_untaken(self._space, rng, taken)
        return None if drawn is None else Suggestion(candidate=drawn, reason="random: forward selection has ended")

    def _with(self, base: frozenset[str], source: str, recipe: Mapping[str, int | float | str]) -> Candidate:
        space = self._space.composition
        return Candidate(filled(sorted({*base, source}), space), recipe)


def _best_scores(history: Sequence[Observation]) -> dict[frozenset[str], float]:
    scores: dict[frozenset[str], float] = {}
    for observation in history:
        score = score_of(observation)
        if score is not None:
            subsets = frozenset(observation.candidate.composition)
            scores[subsets] = max(score, scores.get(subsets, score))
    return scores
