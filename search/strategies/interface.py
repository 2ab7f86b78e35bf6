"""All that passes between a study and a strategy: results, suggestions, and what is known besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from datasets_spec.catalog.keys import Key, TaskMap, shared_elements
from search.space.candidate import Candidate
from search.space.composition import Composition
from search.space.recipe_space import RecipeValue
from search.vocabulary import Status

# Accuracy by evaluation set of the merged single-source adapters of a composition; None where it is not known.
Proxy = Callable[[Composition], Mapping[str, float] | None]
Goal = Literal["objective", "each"]
# Weights of two objectives, taken in turn (ParEGO with a fixed sequence; Knowles, IEEE Trans. Evol. Comput. 2006).
PARETO_TURNS = (0.5, 0.85, 0.15)
IDENTITY_MAP = TaskMap(name="identity", version="1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What became of a proposal.

    Attributes:
        candidate: what was tried.
        values: one number an objective, all to be maximised; None when there is no finite result.
        status: how the trial ended.
        proposal_index: its place in the order of proposals, from 0.
        scores: accuracy by evaluation set, on the split that guides the search; None when that is not known.
        rungs: the same at every rung where the trial was compared, by the rung's number; of a trial that was stopped
            the last one is all there is.
    """

    candidate: Candidate
    values: tuple[float, ...] | None
    status: Status
    proposal_index: int
    scores: Mapping[str, float] | None = None
    rungs: Mapping[int, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicted:
    """What a reason says of a candidate's score before it is tried.

    Attributes:
        mean: of the score without noise.
        deviation: standard deviation of the same.
        target: the evaluation set; None where it is the objective.
    """

    mean: float
    deviation: float
    target: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """What to try next, and why in one line.

    Attributes:
        candidate: to try.
        reason: in one line.
        predicted: the prediction in that line, if it holds one.
        gain: how much more than the best so far it is expected to be worth, as a share, times the probability that
            compositions differ at all; None from strategies, and at times, that do not know.
    """

    candidate: Candidate
    reason: str
    predicted: Predicted | None = None
    gain: float | None = None


class Strategy(Protocol):
    """Decides the next trial.

    `ask` is a pure function of (seed, space, history, pending): no state, clock or global random numbers.
    That is what lets a killed study go on exactly where it was, from the ledger alone.
    """

    name: str

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """Propose a candidate that is neither in `history` nor in `pending`.

        Args:
            history: every proposal that has ended, failed ones included, in proposal order.
            pending: proposals that have not ended.

        Returns:
            The suggestion; None when every candidate of the space has been proposed.
        """
        ...


@runtime_checkable
class Recommender(Protocol):
    """A strategy that can say what is best by its model, tried or not."""

    def recommend(self, history: Sequence[Observation], *, target: str | None = None) -> Suggestion | None:
        """The candidate with the highest expected result.

        Args:
            history: as for `Strategy.ask`.
            target: an evaluation set; None asks for the objective.

        Returns:
            The candidate and why; None while there is nothing to go by.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchContext:
    """Facts of a study that do not change while it runs.

    Attributes:
        source_keys: key of every source.
        target_keys: key of every evaluation set whose accuracy is in `Observation.scores`.
        task_map: decides what two keys share.
        num_items: questions behind a score, by evaluation set.
        objectives: for every objective, the evaluation sets whose mean it is.
        goal: one composition for the objective, or one for each of its evaluation sets.
        proxy: scores without training; strategies use it only after the single sources have been trained.
        recipe: the study's own values of the searched hyper-parameters, with which single sources are trained.
        num_trials: how many trials the search may take; None where that is open.
        known: results that are no proposals of this study: rows of its transfer matrix, other studies' trials.
        least: the least score by evaluation set that a composition must reach.
        kept: of these evaluation sets, those that are only kept, and no targets.
    """

    source_keys: Mapping[str, Key] = field(default_factory=dict)
    target_keys: Mapping[str, Key] = field(default_factory=dict)
    task_map: TaskMap = IDENTITY_MAP
    num_items: Mapping[str, int] = field(default_factory=dict)
    objectives: tuple[tuple[str, ...], ...] = ()
    goal: Goal = "objective"
    proxy: Proxy | None = None
    recipe: Mapping[str, RecipeValue] = field(default_factory=dict)
    num_trials: int | None = None
    known: tuple[Observation, ...] = ()
    least: Mapping[str, float] = field(default_factory=dict)
    kept: tuple[str, ...] = ()

    @property
    def objective_sets(self) -> tuple[str, ...]:
        """The evaluation sets of all objectives, each once."""
        return tuple(dict.fromkeys(name for names in self.objectives for name in names))


def num_shared(a: Key, b: Key, task_map: TaskMap) -> int:
    """How many elements two keys share; a modality and area that always occur together count once."""
    return len(shared_elements(a, b, task_map))
