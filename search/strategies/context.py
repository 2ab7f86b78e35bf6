"""What a strategy may know besides the space and the trials that ended: keys, questions, a proxy, earlier results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from datasets_spec.catalog.keys import Key, TaskMap, shared_elements
from search.space.composition import Composition
from search.space.recipe_space import RecipeValue

if TYPE_CHECKING:
    from search.strategies.interface import Observation

# Accuracy by evaluation set of the merged single-source adapters of a composition; None where it is not known.
Proxy = Callable[[Composition], Mapping[str, float] | None]
Goal = Literal["objective", "each"]
IDENTITY_MAP = TaskMap(name="identity", version="1")


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

    @property
    def objective_sets(self) -> tuple[str, ...]:
        """The evaluation sets of all objectives, each once."""
        return tuple(dict.fromkeys(name for names in self.objectives for name in names))


def num_shared(a: Key, b: Key, task_map: TaskMap) -> int:
    """How many elements two keys share; a modality and area that always occur together count once."""
    return len(shared_elements(a, b, task_map))
