"""Which sources there are, and how many samples of each a composition may have."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from search.space.levels import ALL, Levels, numbers_of, source_levels


class SourceNumbers(BaseModel):
    """Sources and their numbers of samples.

    Attributes:
        sources: the subsets to choose from.
        num_samples: the numbers of samples a chosen subset may have; `all` is what it has.
        budget: the largest number of samples of a composition.
        must_have: subsets that are in every composition.
        must_not_have: sources that are in none (to switch one off without deleting it).
        num_samples_of: numbers of samples of single sources, instead of `num_samples`.
        most_samples: most samples of single sources: a small one then takes the lower numbers, the others all of them.
        source_rows: train rows of every source, where some source has fewer than it is asked for, or `all` is asked;
            `with_rows` takes them from the data. A source with fewer gives what it has.
        own_key_samples: most samples of a source that carries a target's own key, 0 for none: with more a trial could
            not count; `without_own_keys` takes them from the catalog and `few_shot`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[str, ...] = Field(min_length=1)
    num_samples: Levels = Field(min_length=1)
    budget: PositiveInt
    must_have: tuple[str, ...] = ()
    must_not_have: tuple[str, ...] = ()
    num_samples_of: dict[str, Levels] | None = None
    most_samples: dict[str, PositiveInt] | None = None
    source_rows: dict[str, NonNegativeInt] | None = None
    own_key_samples: dict[str, NonNegativeInt] | None = None

    @field_validator("sources", "must_have", "must_not_have", "num_samples", "licences", check_fields=False)
    @classmethod
    def _distinct(cls, value: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if value is None:
            return None
        twice = sorted({item for item in value if value.count(item) > 1}, key=str)
        if twice:
            raise ValueError(f"listed more than once: {twice}")
        return value

    @model_validator(mode="after")
    def _known(self) -> Self:
        for mistake in (*self._mistakes_of_lists(), *self._mistakes_of_numbers()):
            raise ValueError(mistake)
        absent = sorted(set(self.must_have) - set(self.allowed))
        if barred := [s for s in absent if not self.levels[s]]:
            raise ValueError(f"must_have lists {barred}, which carry a target's own key: no trial would count")
        if absent:
            raise ValueError(f"must_have lists {absent}, whose fewest samples exceed the budget of {self.budget}")
        return self

    def _mistakes_of_lists(self) -> Iterator[str]:
        for name in ("must_have", "must_not_have"):
            unknown = sorted(set(getattr(self, name)) - set(self.sources))
            if unknown:
                yield f"{name} lists {unknown}, which are not among the sources"
        both = sorted(set(self.must_have) & set(self.must_not_have))
        if both:
            yield f"both in must_have and in must_not_have: {both}"

    def _mistakes_of_numbers(self) -> Iterator[str]:
        for name in ("most_samples", "num_samples_of"):
            for source in set(getattr(self, name) or {}) - set(self.sources):
                yield f"{name} lists {source}, which is not among the sources"
        for source, most in (self.most_samples or {}).items():
            numbers = numbers_of(self.written(source))
            if numbers and ALL not in self.written(source) and most < numbers[0]:
                yield f"most_samples of {source} is {most}, below the smallest of num_samples, {numbers[0]}"
        for source, levels in (self.num_samples_of or {}).items():
            if not levels or len(set(levels)) < len(levels):
                yield f"num_samples_of lists no numbers of {source}, or one of them twice"

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """The numbers in `num_samples`, ascending; `grid_of` has those of a source."""
        return numbers_of(self.num_samples)

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """All numbers of samples that some allowed source may have, ascending."""
        return tuple(sorted({n for s in self.allowed for n in self.levels[s]} | set(self.grid)))

    def written(self, source: str) -> Levels:
        """The numbers of samples of a source as the study file has them, `all` among them."""
        return (self.num_samples_of or {}).get(source, self.num_samples)

    @cached_property
    def available(self) -> tuple[str, ...]:
        """The sources that are not switched off, sorted: what may be trained alone, for the transfer matrix."""
        return tuple(sorted(set(self.sources) - set(self.must_not_have)))

    @cached_property
    def allowed(self) -> tuple[str, ...]:
        """The subsets that may be in a composition, sorted."""
        return tuple(s for s in self.available if (levels := self.levels[s]) and self._fits(levels[0]))

    def _fits(self, least: int) -> bool:
        return not self.is_mixed or least <= self.budget

    @cached_property
    def is_mixed(self) -> bool:
        """Whether sources have numbers of samples of their own, beyond leaving out the largest."""
        return bool(self.num_samples_of or self.source_rows) or ALL in self.num_samples

    @property
    def needs_rows(self) -> bool:
        """Whether some source's numbers are not known before its rows are."""
        return self.source_rows is None and any(ALL in self.written(source) for source in self.available)

    @cached_property
    def _most(self) -> dict[str, int]:
        own_keys, most = self.own_key_samples or {}, self.most_samples or {}
        return {s: min(limit[s] for limit in (own_keys, most) if s in limit) for s in {**own_keys, **most}}

    @cached_property
    def levels(self) -> dict[str, tuple[int, ...]]:
        """The numbers of samples of every available source, ascending; none where it may not be in a composition."""
        rows, most, own_keys = self.source_rows or {}, self.most_samples or {}, self.own_key_samples or {}
        return {
            s: source_levels(self.written(s), rows=rows.get(s), most=most.get(s), own_key=own_keys.get(s))
            for s in self.available
        }

    def grid_of(self, subset: str) -> tuple[int, ...]:
        """The numbers of samples that an allowed subset may have, ascending."""
        return self.levels[subset]

    @cached_property
    def optional(self) -> tuple[str, ...]:
        """The allowed subsets that need not be in a composition, sorted."""
        return tuple(sorted(set(self.allowed) - set(self.must_have)))
