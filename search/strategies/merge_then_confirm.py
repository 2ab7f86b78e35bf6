"""Single sources first, then real trials of whatever their merges promise, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from datasets_spec.errors import UserError
from search.seeds import derived_rng
from search.space.candidate import Candidate, SearchSpace
from search.space.repair import single_source
from search.statistics.ties import descending
from search.strategies.drawing import draw_untaken, taken_identities
from search.strategies.interface import Observation, SearchContext, Suggestion
from search.strategies.surrogate.acquisition import enumerated

# Merges looked at in a space too large to list.
NUM_DRAWN: Final = 512


class MergeThenConfirmStrategy:
    """Follows the proxy and learns nothing from the trials it confirms; strong and cheap, so a yardstick.

    Raises:
        UserError: there is no proxy.
    """

    name = "merge-then-confirm"

    def __init__(
        self, *, space: SearchSpace, seed: int, num_objectives: int = 1, context: SearchContext | None = None
    ) -> None:
        if context is None or context.proxy is None:
            raise UserError(
                "the strategy 'merge-then-confirm' needs scores of merged adapters, which are not available here",
                hint="use the strategy 'recombine', which can do without",
            )
        self._space = space
        self._seed = seed
        self._context = context
        self._proxy = context.proxy
        self._ranked: list[tuple[float, Candidate]] | None = None

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """See `Strategy.ask`."""
        taken = taken_identities(history, pending)
        rng = derived_rng(self._seed, self.name, len(taken))
        known = {o.candidate.composition.identity for o in self._context.known}
        recipe = self._space.recipe.sample(derived_rng(self._seed, self.name, "recipe"))
        for source in self._space.composition.allowed:
            single = Candidate(single_source(source, self._space.composition), recipe)
            fresh = single.identity not in taken and single.composition.identity not in known
            if fresh and self._space.contains(single):
                return Suggestion(candidate=single, reason=f"{source} alone: an adapter to merge")
        done = taken | {o.candidate.identity for o in self._context.known}
        for place, (score, candidate) in enumerate(self._by_proxy(), start=1):
            if candidate.identity not in done:
                return Suggestion(candidate=candidate, reason=f"merge number {place}, {score:.1%} without training")
        drawn = draw_untaken(self._space, rng, taken)
        return None if drawn is None else Suggestion(candidate=drawn, reason="random: no more merges are known")

    def _by_proxy(self) -> list[tuple[float, Candidate]]:
        """Candidates that the proxy knows, best first; the scores do not change, so they are asked for once."""
        if self._ranked is None:
            rng = derived_rng(self._seed, self.name, "merges")
            listed = enumerated(self._space.model_dump_json())
            some = listed[0] if listed else [self._space.sample(rng) for _ in range(NUM_DRAWN)]
            scored = [(score, candidate) for candidate in some if (score := self._score(candidate)) is not None]
            scored.sort(key=lambda entry: entry[1].identity)
            self._ranked = [scored[place] for place in descending([score for score, _ in scored])]
        return self._ranked

    def _score(self, candidate: Candidate) -> float | None:
        scores = self._proxy(candidate.composition)
        if scores is None:
            return None
        wanted = [scores[name] for name in self._context.objective_sets or scores if name in scores]
        return sum(wanted) / len(wanted) if wanted else None
