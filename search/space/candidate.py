"""What a strategy proposes, a composition with the searched part of a recipe, and the space of both."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from datasets_spec.canonical import content_hash
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.space.recipe_space import RecipeSpace, RecipeValue


class Candidate:
    """What a strategy proposes: a composition and the searched part of the recipe. Immutable.

    Args:
        composition: what to train on.
        recipe: the searched hyper-parameters by name.
    """

    __slots__ = ("composition", "identity", "recipe")
    composition: Composition
    recipe: Mapping[str, RecipeValue]
    identity: str

    def __init__(self, composition: Composition, recipe: Mapping[str, RecipeValue] | None = None) -> None:
        ordered = dict(sorted((recipe or {}).items()))
        object.__setattr__(self, "composition", composition)
        object.__setattr__(self, "recipe", ordered)
        content = {"composition": composition.as_dict(), "recipe": ordered}
        object.__setattr__(self, "identity", content_hash(content))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a candidate cannot be changed")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON, as it stands in ledger records."""
        return {"composition": self.composition.as_dict(), "recipe": dict(self.recipe)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Candidate:
        """Read what `as_dict` wrote. Raises UserError when it holds no composition."""
        return cls(Composition.from_json(value["composition"]), value.get("recipe") or {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Candidate) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def __reduce__(self) -> tuple[type[Candidate], tuple[Composition, dict[str, RecipeValue]]]:
        return Candidate, (self.composition, dict(self.recipe))

    def __repr__(self) -> str:
        return f"Candidate({self.composition}, {dict(self.recipe)})"


class SearchSpace(BaseModel):
    """Everything a strategy may vary: the composition and the searched part of the recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    composition: CompositionSpace
    recipe: RecipeSpace = Field(default_factory=RecipeSpace)

    def violations(self, candidate: Candidate) -> list[str]:
        """What is wrong with `candidate`, in words; empty when it lies in the space."""
        return self.composition.violations(candidate.composition) + self.recipe.violations(candidate.recipe)

    def contains(self, candidate: Candidate) -> bool:
        """Whether `candidate` keeps every constraint."""
        return not self.violations(candidate)

    def sample(self, rng: random.Random) -> Candidate:
        """Draw a composition (see `CompositionSpace.sample`) and a recipe."""
        return Candidate(self.composition.sample(rng), self.recipe.sample(rng))

    def count(self) -> int | None:
        """The exact number of candidates; None when a recipe dimension is continuous."""
        recipes = self.recipe.count()
        return None if recipes is None else self.composition.count() * recipes

    def enumerate(self) -> Iterator[Candidate]:
        """All candidates in a stable order. Raises ValueError when a recipe dimension is continuous."""
        recipes = list(self.recipe.enumerate())
        return (Candidate(c, recipe) for c in self.composition.enumerate() for recipe in recipes)
