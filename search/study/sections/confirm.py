"""The part of a study file about the confirmation: finalists, their fresh seeds, and what they are compared with."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from search.vocabulary import COMPARATORS

# A closed list for the type of the field, so that a misspelt name is answered with the nearest one.
if TYPE_CHECKING:
    ComparatorName = str
else:
    ComparatorName = Literal[tuple(name for name, comparator in COMPARATORS.items() if comparator.can_be_asked)]


class ConfirmSection(BaseModel):
    """Fresh seeds for the best few and what they are compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    num_finalists: PositiveInt = 2
    seeds: tuple[int, ...] = Field(default=(101, 102), min_length=1, description="must differ from the search's seed")
    comparators: tuple[ComparatorName, ...] = Field(
        default=tuple(name for name, comparator in COMPARATORS.items() if comparator.is_default),
        description=" | ".join(name for name, comparator in COMPARATORS.items() if comparator.can_be_asked)
        + " (own samples of the targets, as many as the search has asked questions)",
    )
    further_seeds: tuple[int, ...] = Field(
        default=(),
        description="seeds that only the chosen finalist is trained with, which is in every comparison",
    )
    racing: bool = Field(
        default=False,
        description="train finalists one seed at a time, and go on with those that may still be chosen; three seeds or "
        "more are needed to save any",
    )
    cheaper_within: PositiveFloat | None = Field(
        default=None,
        description="points: of the finalists that are at most so much below the best, the cheapest to train is chosen",
    )
    open_sealed: bool = Field(
        default=True, description="score the selection on `sealed` at the end; possible once a study"
    )

    @property
    def fresh_seeds(self) -> tuple[int, ...]:
        """All seeds that the search must not have used."""
        return (*self.seeds, *self.further_seeds)

    @field_validator("seeds")
    @classmethod
    def _listed_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        # A repeated seed is trained once. Studies that have one stay readable, so that it is not refused.
        return tuple(dict.fromkeys(seeds))

    @model_validator(mode="after")
    def _each_seed_once(self) -> Self:
        if twice := sorted(set(self.seeds) & set(self.further_seeds)):
            raise ValueError(f"further_seeds lists {twice[0]}, which stands in seeds already")
        if twice := [seed for seed, num in Counter(self.further_seeds).items() if num > 1]:
            raise ValueError(f"further_seeds lists {twice[0]} more than once")
        return self

    @model_validator(mode="after")
    def _cheaper_one_stays(self) -> Self:
        if self.cheaper_within is not None and (self.racing or self.num_finalists < 2):
            raise ValueError(
                "cheaper_within chooses among finalists that all have their seeds: set num_finalists to 2 or more and "
                "racing to false"
            )
        return self
