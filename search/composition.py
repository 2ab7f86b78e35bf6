"""Compositions (which subsets, how many samples of each), their constraints, draws and identity."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PositiveInt,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from datasets_spec.canonical import canonical_json, content_hash
from datasets_spec.errors import UserError
from search.counting import BudgetTable, budget_table
from search.recipe_space import RecipeSpace, RecipeValue


class Composition(Mapping[str, int]):
    """An immutable mapping from subset to number of samples, sorted by subset.

    A subset with 0 samples is not part of a composition, so leaving it out and naming it with 0 are equal.
    The empty composition is the untrained backbone's.

    Args:
        counts: number of samples by subset.

    Raises:
        UserError: a count is negative or not a whole number, or a subset has no name.
    """

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[str, int]) -> None:
        for subset, num_samples in counts.items():
            if not isinstance(subset, str) or not subset:
                raise UserError(f"a composition names its subsets, found {subset!r}")
            if isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples < 0:
                raise UserError(f"{subset} has {num_samples!r} samples; a whole number of at least 0 is needed")
        self._counts = {subset: counts[subset] for subset in sorted(counts) if counts[subset]}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Lets specs hold compositions: a mapping comes in, a mapping goes out."""

        def build(value: Any) -> Composition:
            try:
                return cls(value)
            except UserError as error:
                raise ValueError(str(error)) from error

        mapping = core_schema.no_info_after_validator_function(
            build, core_schema.dict_schema(core_schema.str_schema(), core_schema.int_schema())
        )
        return core_schema.union_schema(
            [core_schema.is_instance_schema(cls), mapping],
            serialization=core_schema.plain_serializer_function_ser_schema(lambda c: c.as_dict()),
        )

    @property
    def subsets(self) -> tuple[str, ...]:
        """The subsets trained on, sorted."""
        return tuple(self._counts)

    @property
    def total(self) -> int:
        """The number of samples over all subsets."""
        return sum(self._counts.values())

    @property
    def identity(self) -> str:
        """The content hash: equal for equal compositions, however they were written."""
        return content_hash(self._counts)

    def as_dict(self) -> dict[str, int]:
        """A plain dict, as it stands in ledger records."""
        return dict(self._counts)

    def to_json(self) -> str:
        """Canonical JSON, as it stands in tables."""
        return canonical_json(self._counts)

    @classmethod
    def from_json(cls, text: str | Mapping[str, int]) -> Self:
        """Read what `to_json` or `as_dict` wrote. Raises UserError when it is no composition."""
        try:
            value = json.loads(text) if isinstance(text, str) else text
        except json.JSONDecodeError as error:
            raise UserError(f"not a composition: {error}", hint='write it as {"subset": 240}') from error
        if not isinstance(value, Mapping):
            raise UserError("not a composition: a mapping is needed", hint='write it as {"subset": 240}')
        return cls(value)

    def __getitem__(self, subset: str) -> int:
        return self._counts[subset]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Composition) and self._counts == other._counts

    def __hash__(self) -> int:
        return hash(tuple(self._counts.items()))

    def __reduce__(self) -> tuple[type[Composition], tuple[dict[str, int]]]:
        return Composition, (self._counts,)

    def __str__(self) -> str:
        return "+".join(f"{subset}:{n}" for subset, n in self._counts.items()) or "(no samples)"

    def __repr__(self) -> str:
        return f"Composition({self._counts!r})"


class CompositionSpace(BaseModel):
    """Which compositions a study may try.

    Attributes:
        sources: the subsets to choose from.
        num_samples: the numbers of samples a chosen subset may have.
        budget: the largest number of samples of a composition.
        min_size: the smallest number of subsets.
        max_size: the largest number of subsets; None leaves it to the budget.
        must_have: subsets that are in every composition.
        must_not_have: sources that are in none (to switch one off without deleting it).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[str, ...] = Field(min_length=1)
    num_samples: tuple[PositiveInt, ...] = Field(min_length=1)
    budget: PositiveInt
    min_size: PositiveInt = 1
    max_size: PositiveInt | None = None
    must_have: tuple[str, ...] = ()
    must_not_have: tuple[str, ...] = ()

    @field_validator("sources", "must_have", "must_not_have", "num_samples")
    @classmethod
    def _distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        twice = sorted({item for item in value if value.count(item) > 1})
        if twice:
            raise ValueError(f"listed more than once: {twice}")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("must_have", "must_not_have"):
            unknown = sorted(set(getattr(self, name)) - set(self.sources))
            if unknown:
                raise ValueError(f"{name} lists {unknown}, which are not among the sources")
        both = sorted(set(self.must_have) & set(self.must_not_have))
        if both:
            raise ValueError(f"both in must_have and in must_not_have: {both}")
        if self.max_size is not None and self.max_size < max(self.min_size, len(self.must_have)):
            raise ValueError(f"max_size {self.max_size} is below min_size or the number of must_have subsets")
        if not self.sizes:
            smallest = max(self.min_size, len(self.must_have)) * min(self.num_samples)
            raise ValueError(
                f"no composition is possible: {len(self.allowed)} sources are allowed, the smallest "
                f"composition has {smallest} samples, the budget is {self.budget}"
            )
        return self

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """`num_samples`, ascending."""
        return tuple(sorted(self.num_samples))

    @cached_property
    def allowed(self) -> tuple[str, ...]:
        """The subsets that may be in a composition, sorted."""
        return tuple(sorted(set(self.sources) - set(self.must_not_have)))

    @cached_property
    def optional(self) -> tuple[str, ...]:
        """The allowed subsets that need not be in a composition, sorted."""
        return tuple(sorted(set(self.allowed) - set(self.must_have)))

    @cached_property
    def sizes(self) -> range:
        """The numbers of subsets for which there is a composition."""
        most = len(self.allowed) if self.max_size is None else min(self.max_size, len(self.allowed))
        return range(max(self.min_size, len(self.must_have)), min(most, self.budget // self.grid[0]) + 1)

    @property
    def _table(self) -> BudgetTable:
        return budget_table(self.grid, self.budget, self.sizes[-1])

    def violations(self, composition: Mapping[str, int]) -> list[str]:
        """What is wrong with `composition`, in words; empty when it lies in the space."""
        chosen = {subset for subset, num_samples in composition.items() if num_samples}
        found = [f"{subset} is not an allowed source" for subset in sorted(chosen - set(self.allowed))]
        found += [f"{subset} must be in it" for subset in sorted(set(self.must_have) - chosen)]
        found += [
            f"{subset} has {composition[subset]} samples, not one of {list(self.grid)}"
            for subset in sorted(chosen)
            if composition[subset] not in self.grid
        ]
        total = sum(composition.values())
        if total > self.budget:
            found.append(f"{total} samples exceed the budget of {self.budget}")
        if len(chosen) < self.min_size:
            found.append(f"{len(chosen)} subsets are fewer than min_size {self.min_size}")
        if self.max_size is not None and len(chosen) > self.max_size:
            found.append(f"{len(chosen)} subsets are more than max_size {self.max_size}")
        return found

    def contains(self, composition: Mapping[str, int]) -> bool:
        """Whether `composition` keeps every constraint."""
        return not self.violations(composition)

    def count(self, size: int | None = None) -> int:
        """The exact number of compositions (of `size` subsets, if given)."""
        sizes = self.sizes if size is None else [size] if size in self.sizes else []
        return sum(math.comb(len(self.optional), k - len(self.must_have)) * self._table.count(k) for k in sizes)

    def enumerate(self, limit: int | None = None) -> Iterator[Composition]:
        """All compositions, one by one: by size, then by subsets, then by numbers of samples.

        The order depends on the names alone, not on the order in which the study file lists them.

        Args:
            limit: how many are acceptable; None accepts any number.

        Raises:
            UserError: there are more than `limit`.
        """
        if limit is not None and self.count() > limit:
            raise UserError(
                f"the space has {self.count()} compositions, more than the {limit} that may be enumerated",
                hint="lower max_size, shorten num_samples, or use another strategy",
            )
        return self._walk()

    def _walk(self) -> Iterator[Composition]:
        for size in self.sizes:
            for picked in itertools.combinations(self.optional, size - len(self.must_have)):
                subsets = sorted((*self.must_have, *picked))
                for counts in self._counts_within(size, self.budget):
                    yield Composition(dict(zip(subsets, counts, strict=True)))

    def _counts_within(self, size: int, budget: int) -> Iterator[tuple[int, ...]]:
        if size == 0:
            yield ()
            return
        for first in self.grid:
            if first + (size - 1) * self.grid[0] > budget:
                return
            for rest in self._counts_within(size - 1, budget - first):
                yield (first, *rest)

    def sample(self, rng: random.Random, size: int | None = None) -> Composition:
        """Draw a composition: the size uniformly, then uniformly among the compositions of that size.

        Drawing sizes first keeps small compositions in view: among all 2^N subsets nearly all have about N/2.

        Args:
            rng: the source of randomness; the draw is exact and rejects nothing.
            size: draw among compositions of this many subsets only.

        Raises:
            UserError: there is no composition of that size.
        """
        if size is None:
            size = self.sizes[rng.randrange(len(self.sizes))]
        elif size not in self.sizes:
            raise UserError(f"there is no composition of {size} subsets", hint=f"sizes are {list(self.sizes)}")
        picked = rng.sample(self.optional, size - len(self.must_have))
        subsets = sorted((*self.must_have, *picked))
        return Composition(dict(zip(subsets, self._table.draw(rng, size), strict=True)))


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
