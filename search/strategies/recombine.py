"""The default search: a fixed opening, then a Gaussian process that all targets share.

After the opening (`opening`) each trial is the one with the highest expected improvement. Pending trials count as
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
from search.strategies.drawing import draw_untaken, taken_identities
from search.strategies.interface import PARETO_TURNS, Observation, Predicted, SearchContext, Suggestion
from search.strategies.opening import opening
from search.strategies.surrogate.acquisition import LOG_TOLERANCE, log_expected_improvement
from search.strategies.surrogate.best_candidate import best_candidate
from search.strategies.surrogate.feasibility import Ask, Constraint, is_kept, log_feasibility, log_worth
from search.strategies.surrogate.gaussian_process import Grid, Prediction
from search.strategies.surrogate.knowledge import OBJECTIVE, Knowledge, ProxyTable, learn
from search.strategies.surrogate.own_result import allow_for_luck
from search.vocabulary import Status

Floats = NDArray[np.float64]
# With fewer results there is nothing to fit.
MIN_RESULTS: Final = 3
INTERVAL: Final = 1.6449  # deviations on each side of a central interval of 90 %
# Taken from the posterior mean of what is expected to break a constraint: more than scores can differ.
BROKEN: Final = 2.0
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
        self._listed: list[tuple[Candidate, str]] | None = None  # the opening, which does not change either
        self._proxies: ProxyTable | None = None  # scores that were asked for before; they do not change

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """See `Strategy.ask`."""
        taken = taken_identities(history, pending)
        first = self._opening(taken)
        if first is not None:
            return first
        number = len(taken)
        knowledge = self._learn(history)
        if knowledge is None or knowledge.num_results < MIN_RESULTS:
            return self._drawn(taken, f"random draw {number + 1}: fewer than {MIN_RESULTS} results to learn from")
        free_of = taken | {o.candidate.identity for o in self._context.known}
        return self._improve(knowledge, pending, free_of, number) or self._drawn(taken, "the last free candidates")

    def recommend(self, history: Sequence[Observation], *, target: str | None = None) -> Suggestion | None:
        """See `Recommender.recommend`: the highest posterior mean of all candidates, tried or not."""
        knowledge = self._learn(history)
        if knowledge is None or knowledge.num_results < MIN_RESULTS:
            return None
        weights = self._asked(knowledge, target)
        constraints = self._constraints(knowledge)

        def value(ask: Ask) -> Floats:
            mean = ask(weights).mean
            kept: Floats = mean if not constraints else mean - BROKEN * ~is_kept(ask, constraints)
            return kept

        found = self._best(knowledge, frozenset(), value, len(history), starts=weights)
        if found is None:
            return None
        candidate, best = found
        reason = f"highest posterior mean, {best:.1%}"
        if constraints:
            mean = float(knowledge.predict([candidate], weights).mean[0])
            breaks = best < mean - BROKEN / 2
            reason = f"highest posterior mean, {mean:.1%}, "
            reason += (
                "but none is expected to keep every constraint"
                if breaks
                else "of those expected to keep all constraints"
            )
        expected = self.predict(history, [candidate], target=target)
        if expected is not None:
            low, high = (float(expected.mean[0]) + side * INTERVAL * float(expected.deviation[0]) for side in (-1, 1))
            reason += f", expected again {expected.mean[0]:.1%} (90 %: {max(low, 0):.1%} to {min(high, 1):.1%})"
        return Suggestion(candidate=candidate, reason=self._marked(reason, knowledge, candidate))

    def ranked(self, history: Sequence[Observation], target: str) -> list[Candidate]:
        """What has been tried, the highest posterior mean for a target first."""
        knowledge = self._learn(history)
        return [] if knowledge is None else knowledge.ranked_candidates(self._asked(knowledge, target))

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
        # A result that lacks what must be kept does not keep that out of the model, but stays out itself.
        kept = [n for n in self._context.least if sum(n in scores for scores in scored) >= MIN_RESULTS]
        measured = [scores for scores in scored if all(n in scores for n in kept)]
        scored = measured if len(measured) >= MIN_RESULTS else scored
        return tuple(n for n in dict.fromkeys([*wanted, *others, *kept]) if all(n in scores for scores in scored))

    def _proxy_table(self, targets: tuple[str, ...]) -> ProxyTable:
        if self._proxies is None or self._proxies.targets != targets:
            self._proxies = ProxyTable(self._context, targets)
        return self._proxies

    def _opening(self, taken: frozenset[str]) -> Suggestion | None:
        if not self._options.singles_first:
            if len(taken) < len(self._space.composition.allowed):
                return self._drawn(taken, f"random start {len(taken) + 1}")
            return None
        if self._listed is None:
            self._listed = opening(self._space, self._context, seed=self._seed)
        free = ((candidate, reason) for candidate, reason in self._listed if candidate.identity not in taken)
        return next((Suggestion(candidate=candidate, reason=reason) for candidate, reason in free), None)

    def _has_singles(self, history: Sequence[Observation]) -> bool:
        """Whether every source's trial alone has ended: of those that failed the proxy knows no merge, and says so."""
        done = {
            o.candidate.composition.subsets[0]
            for o in (*self._context.known, *history)
            if len(o.candidate.composition) == 1
        }
        return self._context.proxy is not None and done >= set(self._space.composition.allowed)

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
        constraints = self._constraints(believed)
        means = believed.tried_means(weights)
        kept = np.broadcast_to(is_kept(believed.tried_posterior, constraints), means.shape)
        if not kept.any():
            return self._towards_feasible(believed, weights, constraints, taken, number)
        incumbent = float(means[kept].max())

        def value(ask: Ask) -> Floats:
            improvement: Floats = log_expected_improvement(ask(weights), incumbent) + log_worth(ask, constraints)
            return improvement

        found = self._best(believed, taken, value, number, LOG_TOLERANCE, starts=weights)
        if found is None:
            return None
        candidate, gain = found[0], math.exp(found[1])
        at = believed.predict([candidate], weights)
        reason = (
            f"expected to gain {100 * gain:.2f} points{wanted} over {incumbent:.1%}: predicted {at.mean[0]:.1%} "
            f"± {at.deviation[0]:.1%} from {knowledge.num_results} results"
        )
        if constraints:
            reason += f", {self._feasible(believed, candidate, constraints):.0%} likely to keep every constraint"
        if knowledge.facts.proxy is not None:
            reason += f", merges trusted at {knowledge.proxy_weight():.0%}"
        return Suggestion(
            candidate=candidate,
            reason=self._marked(reason, knowledge, candidate),
            predicted=Predicted(mean=float(at.mean[0]), deviation=float(at.deviation[0]), target=target),
            gain=gain * knowledge.signal_probability,
        )

    def _constraints(self, knowledge: Knowledge) -> list[Constraint]:
        """What is asked of targets that the model knows."""
        return [
            Constraint(weights=knowledge.target_weights(name), least=least)
            for name, least in sorted(self._context.least.items())
            if name in knowledge.targets
        ]

    def _feasible(self, knowledge: Knowledge, candidate: Candidate, constraints: Sequence[Constraint]) -> float:
        found = log_feasibility(lambda weights: knowledge.predict([candidate], weights), constraints)
        return math.exp(float(np.asarray(found).ravel()[0]))

    def _towards_feasible(
        self,
        knowledge: Knowledge,
        weights: Floats,
        constraints: Sequence[Constraint],
        taken: frozenset[str],
        number: int,
    ) -> Suggestion | None:
        """While nothing that was tried keeps every constraint, what is likeliest to, whatever it gains."""

        def value(ask: Ask) -> Floats:
            return np.asarray(log_feasibility(ask, constraints))

        found = self._best(knowledge, taken, value, number, LOG_TOLERANCE, starts=weights)
        if found is None:
            return None
        reason = (
            f"no trial is expected to keep every constraint; this one is {math.exp(found[1]):.0%} likely to, from "
            f"{knowledge.num_results} results"
        )
        return Suggestion(candidate=found[0], reason=self._marked(reason, knowledge, found[0]))

    def _best(
        self,
        knowledge: Knowledge,
        excluded: frozenset[str],
        value: Callable[[Ask], Floats],
        number: int,
        tolerance: float | None = None,
        *,
        starts: Floats,
    ) -> tuple[Candidate, float] | None:
        rng = derived_rng(self._seed, self.name, number)
        return best_candidate(knowledge, self._space_json, excluded, value, starts=starts, rng=rng, tolerance=tolerance)

    def _drawn(self, taken: frozenset[str], reason: str) -> Suggestion | None:
        candidate = draw_untaken(self._space, derived_rng(self._seed, self.name, len(taken)), taken)
        return None if candidate is None else Suggestion(candidate=candidate, reason=reason)

    def _marked(self, reason: str, knowledge: Knowledge, candidate: Candidate) -> str:
        """A reason with what it does not rest on."""
        unknown = sorted(set(self._context.least) - set(knowledge.targets))
        if unknown:
            reason += f"; not weighed, for too few results say it: the constraints on {', '.join(unknown)}"
        extrapolation = knowledge.extrapolation(candidate)
        return reason if extrapolation is None else f"{reason}; {extrapolation}"
