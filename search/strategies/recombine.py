"""The default search: single sources first, then a Gaussian process that all targets share.

The opening trains every source alone (these are the rows of the transfer matrix), then everything together, then what
the proxy likes best. From then on each trial is the one with the highest expected improvement. Pending trials count as
if they had come out as predicted. Every trial teaches about every target, through what the targets' keys share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.seeds import derived_rng
from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.repair import repair
from search.statistics.ties import descending, index_of_largest
from search.strategies.drawing import draw_untaken, taken_identities
from search.strategies.interface import PARETO_TURNS, Observation, Predicted, SearchContext, Suggestion
from search.strategies.surrogate.acquisition import (
    LOG_TOLERANCE,
    enumerated,
    local_search,
    log_expected_improvement,
)
from search.strategies.surrogate.gaussian_process import Grid, Prediction
from search.strategies.surrogate.knowledge import OBJECTIVE, Knowledge, ProxyTable, learn
from search.strategies.surrogate.own_result import allow_for_luck
from search.vocabulary import Status

Floats = NDArray[np.float64]
# With fewer results there is nothing to fit.
MIN_RESULTS: Final = 3
INTERVAL: Final = 1.6449  # deviations on each side of a central interval of 90 %
# Candidates that a quick look at the likeliest hyper-parameters leaves for a full one.
NUM_SCREENED: Final = 512
SCREENING_BLOCK: Final = 8192
# Targets in turn, but not neighbours one after the other: they are often alike.
TURN_STRIDE: Final = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class RecombineOptions:
    """Parts that can be left out, to measure what each earns.

    Attributes:
        singles_first: train every source alone before anything else.
        use_proxy: let merged adapters inform the mean.
        use_keys: let keys inform mean and kernels.
        share_targets: learn about a target from the scores on all others.
        grid: hyper-parameters that are averaged over.
    """

    singles_first: bool = True
    use_proxy: bool = True
    use_keys: bool = True
    share_targets: bool = True
    grid: Grid = field(default_factory=Grid)


class RecombineStrategy:
    """See the module. With `SearchContext.goal` "each", the targets of the objective are searched for in turn."""

    name = "recombine"

    def __init__(
        self,
        *,
        space: SearchSpace,
        seed: int,
        num_objectives: int = 1,
        context: SearchContext | None = None,
        options: RecombineOptions | None = None,
    ) -> None:
        self._space = space
        self._seed = seed
        self._num_objectives = num_objectives
        self._context = context or SearchContext()
        self._options = options or RecombineOptions()
        self._space_json = space.model_dump_json()
        self._proxies: ProxyTable | None = None  # scores that were asked for before; they do not change

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """See `Strategy.ask`."""
        taken = taken_identities(history, pending)
        opening = self._opening(taken)
        if opening is not None:
            return opening
        number = len(taken)
        knowledge = self._learn(history)
        if knowledge is None or knowledge.num_results < MIN_RESULTS:
            return self._drawn(taken, f"random draw {number + 1}: fewer than {MIN_RESULTS} results to learn from")
        best_proxy = self._best_proxy(knowledge, taken)
        if best_proxy is not None:
            return best_proxy
        free_of = taken | {o.candidate.identity for o in self._context.known}
        return self._improve(knowledge, pending, free_of, number) or self._drawn(taken, "the last free candidates")

    def recommend(self, history: Sequence[Observation], *, target: str | None = None) -> Suggestion | None:
        """See `Recommender.recommend`: the highest posterior mean of all candidates, tried or not."""
        knowledge = self._learn(history)
        if knowledge is None or knowledge.num_results < MIN_RESULTS:
            return None
        weights = self._asked(knowledge, target)
        found = self._best(knowledge, weights, frozenset(), lambda prediction: prediction.mean, len(history))
        if found is None:
            return None
        candidate, value = found
        reason = f"highest posterior mean, {value:.1%}"
        expected = self.predict(history, [candidate], target=target)
        if expected is not None:
            low, high = (float(expected.mean[0]) + side * INTERVAL * float(expected.deviation[0]) for side in (-1, 1))
            reason += f", expected again {expected.mean[0]:.1%} (90 %: {max(low, 0):.1%} to {min(high, 1):.1%})"
        return Suggestion(candidate=candidate, reason=_marked(reason, knowledge.extrapolation(candidate)))

    def predict(
        self, history: Sequence[Observation], candidates: Sequence[Candidate], *, target: str | None = None
    ) -> Prediction | None:
        """Mean and deviation of the noise-free score of candidates; None while there is nothing to go by.

        Where a candidate has one result, that it may have been lucky is allowed for.
        """
        knowledge = self._learn(history)
        if knowledge is None or knowledge.num_results < MIN_RESULTS:
            return None
        found = knowledge.predict(candidates, self._asked(knowledge, target))
        mean, deviation = found.mean.copy(), found.deviation.copy()
        for place, candidate in enumerate(candidates):
            others = [o for o in history if o.candidate.identity != candidate.identity]
            if len(others) != len(history) - 1:
                continue
            without = self._learn(others)
            if without is None or without.num_results < MIN_RESULTS or without.targets != knowledge.targets:
                continue
            alone = Prediction(mean=mean[[place]], deviation=deviation[[place]])
            fair = allow_for_luck(alone, without.predict([candidate], self._asked(without, target)))
            mean[place], deviation[place] = fair.mean[0], fair.deviation[0]
        return Prediction(mean=mean, deviation=deviation)

    def _learn(self, history: Sequence[Observation]) -> Knowledge | None:
        options = self._options
        observations = [*self._context.known, *history]
        targets = self._targets(observations)
        proxies = self._proxy_table(targets) if targets and options.use_proxy and self._has_singles(history) else None
        return learn(
            observations,
            self._space,
            self._context,
            proxy=proxies,
            use_keys=options.use_keys,
            targets=targets,
            grid=options.grid,
        )

    def _asked(self, knowledge: Knowledge, target: str | None) -> Floats:
        """One target, or the mean of all objectives."""
        if target is not None:
            return knowledge.target_weights(target)
        num = self._num_objectives
        return sum((knowledge.objective_weights(k) for k in range(num)), np.zeros(len(knowledge.targets))) / num

    def _targets(self, observations: Sequence[Observation]) -> tuple[str, ...] | None:
        """The evaluation sets to learn together; None where trials are not scored on those of the objective."""
        wanted = self._context.objective_sets
        finished = [o.scores for o in observations if o.status is Status.finished and o.scores]
        # A trial on a target's own key has no score there and is left out of the model.
        scored = [scores for scores in finished if all(name in scores for name in wanted)]
        if not wanted or not scored:
            return None
        others = self._context.target_keys if self._options.share_targets else ()
        return tuple(n for n in dict.fromkeys([*wanted, *others]) if all(n in scores for scores in scored))

    def _proxy_table(self, targets: tuple[str, ...]) -> ProxyTable:
        if self._proxies is None or self._proxies.targets != targets:
            self._proxies = ProxyTable(self._context, targets)
        return self._proxies

    def _singles(self) -> list[Candidate]:
        """Every source alone with the most samples it may have, then everything; what lies in the space of these.

        Where compositions of one source are not allowed, or would take more than half of the trials, and are not
        known either: small ones that hold every source at least once.
        """
        space = self._space.composition
        recipe = self._context.recipe
        if self._space.recipe.violations(recipe):
            recipe = self._space.recipe.sample(derived_rng(self._seed, self.name, "recipe"))
        most = max(step for step in space.grid if step <= space.budget)
        made = [Candidate(Composition({source: most}), recipe) for source in space.allowed]
        size = self._opening_size()
        if size > 1 and not self._known_alone() >= set(space.allowed):
            made = [Candidate(self._filled(group), recipe) for group in self._groups(size)]
        if len(space.allowed) in space.sizes:
            made.append(Candidate(self._filled(space.allowed), recipe))
        return [candidate for candidate in dict.fromkeys(made) if self._space.contains(candidate)]

    def _opening_size(self) -> int:
        """Subsets of an opening composition: one, unless constraints or the number of trials ask for more."""
        space, num_trials = self._space.composition, self._context.num_trials
        enough = 1 if num_trials is None else -(-len(space.allowed) // max(1, num_trials // 2))
        return min(max(space.sizes[0], enough), space.sizes[-1])

    def _groups(self, size: int) -> list[tuple[str, ...]]:
        """The optional sources in groups that have `size` subsets with what every composition must have."""
        space = self._space.composition
        optional = list(space.optional)
        derived_rng(self._seed, self.name, "groups").shuffle(optional)
        step = max(1, size - len(space.must_have))
        return [(*space.must_have, *optional[k : k + step]) for k in range(0, len(optional), step)]

    def _filled(self, sources: Sequence[str]) -> Composition:
        """These sources with the most samples that the budget allows to each alike."""
        space = self._space.composition
        fitting = [step for step in space.grid if step * len(sources) <= space.budget]
        return repair(dict.fromkeys(sources, max(fitting, default=space.grid[0])), space)

    def _known_alone(self) -> set[str]:
        known = (o.candidate.composition for o in self._context.known)
        return {composition.subsets[0] for composition in known if len(composition) == 1}

    def _opening(self, taken: frozenset[str]) -> Suggestion | None:
        if not self._options.singles_first:
            if len(taken) < len(self._space.composition.allowed):
                return self._drawn(taken, f"random start {len(taken) + 1}")
            return None
        known = {o.candidate.composition.identity for o in self._context.known}
        for candidate in self._singles():
            if candidate.identity in taken or candidate.composition.identity in known:
                continue
            subsets = candidate.composition.subsets
            if len(subsets) == 1:
                return Suggestion(candidate=candidate, reason=f"{subsets[0]} alone: a matrix row")
            everything = len(subsets) == len(self._space.composition.allowed)
            reason = "all sources together" if everything else "opening: every source once, in small compositions"
            return Suggestion(candidate=candidate, reason=reason)
        return None

    def _has_singles(self, history: Sequence[Observation]) -> bool:
        """Whether every source's trial alone has ended: of those that failed the proxy knows no merge, and says so."""
        done = {
            o.candidate.composition.subsets[0]
            for o in (*self._context.known, *history)
            if len(o.candidate.composition) == 1
        }
        return self._context.proxy is not None and done >= set(self._space.composition.allowed)

    def _best_proxy(self, knowledge: Knowledge, taken: frozenset[str]) -> Suggestion | None:
        """The proxy's favourite for each target looked for, once, right after the opening."""
        listed = enumerated(self._space_json)
        proxies = knowledge.facts.proxy
        if listed is None or proxies is None or len(taken) > len(self._singles()):
            return None
        wanted = self._weights(knowledge, len(taken))[0]
        scores = np.nan_to_num(proxies.scores([c.composition for c in listed[0]]), nan=-1.0) @ wanted
        candidate = listed[0][index_of_largest(scores)]
        if candidate.identity in taken or any(o.candidate == candidate for o in self._context.known):
            return None
        return Suggestion(candidate=candidate, reason=f"best of all merges, {float(scores.max()):.1%}")

    def _weights(self, knowledge: Knowledge, number: int) -> tuple[Floats, str, str | None]:
        """Which weighted sum of targets this trial is for, in words, and the target if it is one."""
        if self._context.goal == "each" and not knowledge.targets[0].startswith(OBJECTIVE):
            names = self._context.objective_sets or knowledge.targets
            name = names[(number * TURN_STRIDE + number // len(names)) % len(names)]
            return knowledge.target_weights(name), f" for {name}", name
        if self._num_objectives == 2:
            share = PARETO_TURNS[number % len(PARETO_TURNS)]
            weights = share * knowledge.objective_weights(0) + (1 - share) * knowledge.objective_weights(1)
            return weights, f" with {share:.0%} on the first objective", None
        return knowledge.objective_weights(0), "", None

    def _improve(
        self, knowledge: Knowledge, pending: Sequence[Candidate], taken: frozenset[str], number: int
    ) -> Suggestion | None:
        weights, wanted, target = self._weights(knowledge, number)
        believed = knowledge.believing(pending)
        incumbent = float(believed.tried_means(weights).max())
        found = self._best(
            believed, weights, taken, lambda p: log_expected_improvement(p, incumbent), number, LOG_TOLERANCE
        )
        if found is None:
            return None
        candidate, gain = found[0], math.exp(found[1])
        at = believed.predict([candidate], weights)
        reason = (
            f"expected to gain {100 * gain:.2f} points{wanted} over {incumbent:.1%}: predicted {at.mean[0]:.1%} "
            f"± {at.deviation[0]:.1%} from {knowledge.num_results} results"
        )
        if knowledge.facts.proxy is not None:
            reason += f", merges trusted at {knowledge.proxy_weight():.0%}"
        return Suggestion(
            candidate=candidate,
            reason=_marked(reason, knowledge.extrapolation(candidate)),
            predicted=Predicted(mean=float(at.mean[0]), deviation=float(at.deviation[0]), target=target),
            gain=gain * knowledge.signal_probability,
        )

    def _best(
        self,
        knowledge: Knowledge,
        weights: Floats,
        excluded: frozenset[str],
        value: Callable[[Prediction], Floats],
        number: int,
        tolerance: float | None = None,
    ) -> tuple[Candidate, float] | None:
        """The candidate of highest value that is not excluded; the first of those within `tolerance` of it."""
        listed = enumerated(self._space_json)
        if listed is None:
            rng = derived_rng(self._seed, self.name, number)
            starts = knowledge.ranked_candidates(weights)
            return local_search(
                self._space,
                starts,
                rng,
                excluded,
                lambda some: value(knowledge.predict(some, weights)),
                tolerance,
            )
        candidates, encoded = listed
        free = np.array([i for i, c in enumerate(candidates) if c.identity not in excluded], dtype=np.intp)
        if len(free) > NUM_SCREENED:
            rough = [
                value(knowledge.predict_encoded(candidates, encoded, free[k : k + SCREENING_BLOCK], weights, 1))
                for k in range(0, len(free), SCREENING_BLOCK)
            ]
            free = free[descending(np.concatenate(rough), tolerance=tolerance)[:NUM_SCREENED]]
        if not len(free):
            return None
        values = value(knowledge.predict_encoded(candidates, encoded, free, weights, None))
        best = index_of_largest(values, tolerance=tolerance)
        return candidates[free[best]], float(values[best])

    def _drawn(self, taken: frozenset[str], reason: str) -> Suggestion | None:
        candidate = draw_untaken(self._space, derived_rng(self._seed, self.name, len(taken)), taken)
        return None if candidate is None else Suggestion(candidate=candidate, reason=reason)


def _marked(reason: str, extrapolation: str | None) -> str:
    return reason if extrapolation is None else f"{reason}; {extrapolation}"
