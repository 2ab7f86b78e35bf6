"""The hyper-parameters a study searches over: one dimension a name."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, model_validator

RecipeValue: TypeAlias = int | float | str

# Six digits keep a drawn value readable and equal on machines whose exp() differs in the last bit.
SIGNIFICANT_DIGITS = 6

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def _as_number(value: Any) -> Any:
    """YAML 1.1 reads `5e-3` as text: what looks like a number is one; a boolean is refused."""
    if isinstance(value, bool):
        raise ValueError("a recipe value is a number or a text, not a boolean")
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    return value


def _rounded(value: float, low: float, high: float) -> float:
    return min(max(float(f"{value:.{SIGNIFICANT_DIGITS}g}"), low), high)


Scalar: TypeAlias = Annotated[int | float | str, BeforeValidator(_as_number)]
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_as_number)]


class _Dimension(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(_Dimension):
    """One of a few listed values."""

    kind: Literal["choice"] = "choice"
    values: tuple[Scalar, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.values)) != len(self.values):
            raise ValueError(f"the values of a choice must differ, found {list(self.values)}")
        if any(isinstance(value, float) and not math.isfinite(value) for value in self.values):
            raise ValueError("the values of a choice must be finite")
        return self

    def contains(self, value: RecipeValue) -> bool:
        """Whether `value` is one of the values."""
        return any(value == known and isinstance(value, str) == isinstance(known, str) for known in self.values)

    def sample(self, rng: random.Random) -> RecipeValue:
        """Draw uniformly."""
        return self.values[rng.randrange(len(self.values))]

    def conform(self, value: RecipeValue) -> RecipeValue:
        """The listed value equal to `value` (an optimiser may return 8.0 for 8)."""
        return next(known for known in self.values if known == value)

    def options(self) -> tuple[RecipeValue, ...]:
        """All values, in the order of the study file."""
        return self.values


class _Range(_Dimension):
    low: Number
    high: Number

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        # A narrower range would hold too few values of SIGNIFICANT_DIGITS digits to draw from.
        if not self.high - self.low > 1e-3 * max(abs(self.low), abs(self.high)):
            raise ValueError(f"low must lie clearly below high, found {self.low} and {self.high}; or use a choice")
        return self

    def contains(self, value: RecipeValue) -> bool:
        """Whether `value` is a number within the closed range."""
        return not isinstance(value, str) and self.low <= value <= self.high

    def conform(self, value: RecipeValue) -> RecipeValue:
        """`value` rounded to `SIGNIFICANT_DIGITS` and kept within the range."""
        return _rounded(float(value), self.low, self.high)

    def options(self) -> None:
        """A continuous range cannot be listed."""
        return None


class Uniform(_Range):
    """A real number, uniform between `low` and `high`."""

    kind: Literal["uniform"] = "uniform"

    def sample(self, rng: random.Random) -> RecipeValue:
        """Draw uniformly, rounded to `SIGNIFICANT_DIGITS`."""
        return self.conform(rng.uniform(self.low, self.high))


class LogUniform(_Range):
    """A positive real number whose logarithm is uniform between those of `low` and `high`."""

    kind: Literal["log_uniform"] = "log_uniform"
    low: Number = Field(gt=0)

    def sample(self, rng: random.Random) -> RecipeValue:
        """Draw uniformly in the logarithm, rounded to `SIGNIFICANT_DIGITS`."""
        return self.conform(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))


class IntRange(_Dimension):
    """A whole number between `low` and `high`, both included."""

    kind: Literal["int_range"] = "int_range"
    low: int
    high: int

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high < self.low:
            raise ValueError(f"low must not exceed high, found {self.low} and {self.high}")
        return self

    def contains(self, value: RecipeValue) -> bool:
        """Whether `value` is a whole number within the closed range."""
        return isinstance(value, int) and self.low <= value <= self.high

    def sample(self, rng: random.Random) -> RecipeValue:
        """Draw uniformly."""
        return rng.randint(self.low, self.high)

    def conform(self, value: RecipeValue) -> RecipeValue:
        """`value` as a whole number."""
        return int(value)

    def options(self) -> range:
        """All values, ascending."""
        return range(self.low, self.high + 1)


def _spelled_out(value: Any) -> Any:
    """`[1, 2]` is short for a choice; a bare number or text for a choice of one."""
    if isinstance(value, list | tuple):
        return {"kind": "choice", "values": tuple(value)}
    if isinstance(value, dict) and isinstance(value.get("values"), list):
        return {**value, "values": tuple(value["values"])}  # study files are read strictly: only a tuple is one
    if isinstance(value, int | float | str):
        return {"kind": "choice", "values": [value]}
    return value


Dimension: TypeAlias = Annotated[
    Annotated[Choice | LogUniform | Uniform | IntRange, Field(discriminator="kind")],
    BeforeValidator(_spelled_out),
]


class RecipeSpace(RootModel[dict[str, Dimension]]):
    """The searched dimensions of the recipe by name; what is not named keeps the study's fixed value.

    In a study file: `learning_rate: {kind: log_uniform, low: 0.001, high: 0.02}`, `num_steps: [80, 160]`.
    """

    model_config = ConfigDict(frozen=True)
    root: dict[str, Dimension] = Field(default_factory=dict)

    @property
    def dimensions(self) -> dict[str, Choice | LogUniform | Uniform | IntRange]:
        """The dimensions by name, sorted by name."""
        return dict(sorted(self.root.items()))

    def violations(self, recipe: Mapping[str, RecipeValue]) -> list[str]:
        """What is wrong with `recipe`, in words; empty when it lies in the space."""
        found = [f"recipe lacks {name}" for name in self.dimensions if name not in recipe]
        for name, value in sorted(recipe.items()):
            dimension = self.root.get(name)
            if dimension is None:
                found.append(f"recipe has {name}, which is not searched")
            elif not dimension.contains(value):
                found.append(f"recipe {name}={value!r} lies outside its dimension")
        return found

    def sample(self, rng: random.Random) -> dict[str, RecipeValue]:
        """Draw every dimension independently, in the order of their names."""
        return {name: dimension.sample(rng) for name, dimension in self.dimensions.items()}

    def count(self) -> int | None:
        """How many recipes there are; None when a dimension is continuous."""
        counts = [dimension.options() for dimension in self.dimensions.values()]
        return (
            None if any(options is None for options in counts) else math.prod(len(o) for o in counts if o is not None)
        )

    def enumerate(self) -> Iterator[dict[str, RecipeValue]]:
        """All recipes in a stable order. Raises ValueError when a dimension is continuous."""
        listed: list[tuple[RecipeValue, ...]] = []
        for name, dimension in self.dimensions.items():
            options = dimension.options()
            if options is None:
                raise ValueError(f"recipe dimension {name} is continuous and cannot be enumerated")
            listed.append(tuple(options))
        return (dict(zip(self.dimensions, values, strict=True)) for values in itertools.product(*listed))
