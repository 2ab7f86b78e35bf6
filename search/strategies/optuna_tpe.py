"""Optuna's tree-structured Parzen estimator behind the one interface, without its traps.

What is guarded against (measured with Optuna 5.0): a NaN result leaves a trial running for ever and is held
against its neighbours; eight parallel asks gave one distinct point in eight without the constant liar;
repeats ("3 out of 20", optuna#5440) are by design. Here the study is rebuilt from the history on each ask, so
nothing has to be saved, and repeats are replaced.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from search.seeds import derived_rng, derived_seed
from search.space.candidate import Candidate, SearchSpace
from search.space.recipe_space import Choice, IntRange, LogUniform
from search.space.repair import repair
from search.strategies.drawing import draw_untaken, taken_identities
from search.strategies.interface import Observation, Suggestion
from search.vocabulary import Status

if TYPE_CHECKING:
    import optuna

# Optuna's own default: with fewer results its densities say nothing yet.
NUM_STARTUP_TRIALS = 10
# Each retry costs one fit of the sampler; when eight seeds agree on known points, chance is the better guide.
MAX_ATTEMPTS = 8

_SUBSET = "samples of "
_RECIPE = "recipe "


class OptunaTpeStrategy:
    """TPE over one categorical per source (0 or a number of samples) and the recipe's dimensions.

    Proposals that break a constraint are repaired (`repair`); what stands in the history is the repaired
    candidate, so the model learns from what was really trained. Failed trials are told as failed, which TPE
    leaves out; trials that still run are told as running, which the constant liar keeps others away from.
    """

    name = "optuna-tpe"

    def __init__(self, *, space: SearchSpace, seed: int, num_objectives: int = 1) -> None:
        self._space = space
        self._seed = seed
        self._num_objectives = num_objectives
        self._sources = space.composition.allowed

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """See `Strategy.ask`."""
        taken = taken_identities(history, pending)
        number = len(taken)
        num_results = sum(self._usable(observation) is not None for observation in history)
        if num_results < NUM_STARTUP_TRIALS:
            return self._random(taken, f"random start: {num_results} of {NUM_STARTUP_TRIALS} results are in")
        trials = self._told(history, pending)
        repaired = ""
        for attempt in range(MAX_ATTEMPTS):
            sampler_seed = derived_seed(self._seed, self.name, number, attempt)
            candidate, repaired = self._ask_optuna(trials, sampler_seed)
            if candidate.identity not in taken:
                retried = f", draw {attempt + 1}: earlier ones were known" if attempt else ""
                reason = f"TPE after {num_results} results, {len(pending)} running{repaired}{retried}"
                return Suggestion(candidate=candidate, reason=reason)
        return self._random(taken, f"random instead of TPE, which proposed known candidates {MAX_ATTEMPTS} times")

    def _random(self, taken: frozenset[str], reason: str) -> Suggestion | None:
        candidate = draw_untaken(self._space, derived_rng(self._seed, self.name, len(taken)), taken)
        return None if candidate is None else Suggestion(candidate=candidate, reason=reason)

    def _usable(self, observation: Observation) -> tuple[float, ...] | None:
        """The values TPE may learn from: of a finished trial, one finite number an objective."""
        values = observation.values
        if observation.status is not Status.finished or values is None or len(values) != self._num_objectives:
            return None
        return values if all(abs(value) < float("inf") for value in values) else None

    def _told(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> list[optuna.trial.FrozenTrial]:
        """The study so far as Optuna's trials, in the order of proposals."""
        from optuna.trial import TrialState

        in_order = sorted(history, key=lambda observation: observation.proposal_index)
        told = []
        for observation in in_order:
            values = self._usable(observation)
            state = TrialState.FAIL if values is None else TrialState.COMPLETE
            told.append(self._trial(observation.candidate, state, values))
        return told + [self._trial(candidate, TrialState.RUNNING, None) for candidate in pending]

    def _trial(self, candidate: Candidate, state: Any, values: tuple[float, ...] | None) -> Any:
        import optuna

        counts = candidate.composition
        params: dict[str, Any] = {_SUBSET + source: counts.get(source, 0) for source in self._sources}
        params |= {_RECIPE + name: value for name, value in candidate.recipe.items()}
        known = {name: dist for name, dist in self._distributions().items() if name in params}
        return optuna.trial.create_trial(
            state=state,
            values=None if values is None else list(values),
            params={name: params[name] for name in known},
            distributions=known,
        )

    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, Any] = {
            _SUBSET + source: CategoricalDistribution((0, *self._space.composition.grid_of(source)))
            for source in self._sources
        }
        for name, dimension in self._space.recipe.dimensions.items():
            if isinstance(dimension, Choice):
                found[_RECIPE + name] = CategoricalDistribution(dimension.values)
            elif isinstance(dimension, IntRange):
                found[_RECIPE + name] = IntDistribution(dimension.low, dimension.high)
            else:
                is_log = isinstance(dimension, LogUniform)
                found[_RECIPE + name] = FloatDistribution(dimension.low, dimension.high, log=is_log)
        return found

    def _ask_optuna(self, trials: Sequence[Any], sampler_seed: int) -> tuple[Candidate, str]:
        """One proposal, repaired, and a remark when it needed repair."""
        import optuna

        with _quiet():
            sampler = optuna.samplers.TPESampler(
                seed=sampler_seed, n_startup_trials=0, multivariate=True, constant_liar=True
            )
            study = optuna.create_study(directions=["maximize"] * self._num_objectives, sampler=sampler)
            study.add_trials(trials)
            params = study.ask(self._distributions()).params
        counts = {source: int(params[_SUBSET + source]) for source in self._sources}
        composition = repair(counts, self._space.composition)
        dimensions = self._space.recipe.dimensions
        recipe = {name: dimension.conform(params[_RECIPE + name]) for name, dimension in dimensions.items()}
        wanted = {source: count for source, count in counts.items() if count}
        return Candidate(composition, recipe), "" if composition.as_dict() == wanted else ", repaired"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's log lines and its warnings about experimental arguments; puts both back."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
