"""Which compositions are allowed: constraints, exact counts, draws."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    field_validator,
    model_validator,
)

from datasets_spec.errors import UserError
from search.space.composition import Composition
from search.space.counting import BudgetTable, budget_table
from search.space.prices import TOLERANCE, cheaper, cost_of, picks_within

# With a cost constraint compositions are counted one by one, up to so many; beyond, the count is an upper bound.
MAX_COUNTED = 2**17
# Draws that may cost too much before one is made cheaper instead.
MAX_COST_DRAWS = 200


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
        licences: only sources with one of these licences are used; `with_catalog` turns that into `must_not_have`.
        max_cost: the most that the samples of a composition may cost together.
        sample_costs: cost of one sample by subset; `with_catalog` takes them from the catalog.
        most_samples: most samples of single sources: a small one then takes the lower numbers, the others all of them.
        own_key_samples: most samples of a source that carries a target's own key, 0 for none: with more a trial could
            not count; `without_own_keys` takes them from the catalog and `few_shot`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[str, ...] = Field(min_length=1)
    num_samples: tuple[PositiveInt, ...] = Field(min_length=1)
    budget: PositiveInt
    min_size: PositiveInt = 1
    max_size: PositiveInt | None = None
    must_have: tuple[str, ...] = ()
    must_not_have: tuple[str, ...] = ()
    licences: tuple[str, ...] | None = None
    max_cost: NonNegativeFloat | None = None
    sample_costs: dict[str, NonNegativeFloat] | None = None
    most_samples: dict[str, PositiveInt] | None = None
    own_key_samples: dict[str, NonNegativeInt] | None = None

    @field_validator("sources", "must_have", "must_not_have", "num_samples", "licences")
    @classmethod
    def _distinct(cls, value: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if value is None:
            return None
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
        for source, most in (self.most_samples or {}).items():
            if source not in self.sources:
                raise ValueError(f"most_samples lists {source}, which is not among the sources")
            if most < self.grid[0]:
                raise ValueError(
                    f"most_samples of {source} is {most}, below the smallest of num_samples, {self.grid[0]}"
                )
        both = sorted(set(self.must_have) & set(self.must_not_have))
        if both:
            raise ValueError(f"both in must_have and in must_not_have: {both}")
        if barred := sorted(set(self.must_have) - set(self.allowed)):
            raise ValueError(f"must_have lists {barred}, which carry a target's own key: no trial would count")
        if self.max_size is not None and self.max_size < max(self.min_size, len(self.must_have)):
            raise ValueError(f"max_size {self.max_size} is below min_size or the number of must_have subsets")
        if not self.sizes and self._sizes_at_any_cost:
            raise ValueError(f"no composition costs at most max_cost {self.max_cost:g}")
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
    def available(self) -> tuple[str, ...]:
        """The sources that are not switched off, sorted: what may be trained alone, for the transfer matrix."""
        return tuple(sorted(set(self.sources) - set(self.must_not_have)))

    @cached_property
    def allowed(self) -> tuple[str, ...]:
        """The subsets that may be in a composition, sorted."""
        return tuple(s for s in self.available if self._most.get(s, self.grid[0]) >= self.grid[0])

    @cached_property
    def _most(self) -> dict[str, int]:
        own_keys, most = self.own_key_samples or {}, self.most_samples or {}
        return {s: min(limit[s] for limit in (own_keys, most) if s in limit) for s in {**own_keys, **most}}

    def grid_of(self, subset: str) -> tuple[int, ...]:
        """The numbers of samples that an allowed subset may have, ascending."""
        return self.grid if subset not in self._most else tuple(n for n in self.grid if n <= self._most[subset])

    @cached_property
    def optional(self) -> tuple[str, ...]:
        """The allowed subsets that need not be in a composition, sorted."""
        return tuple(sorted(set(self.allowed) - set(self.must_have)))

    @cached_property
    def sizes(self) -> range:
        """The numbers of subsets for which there is a composition."""
        sizes = self._sizes_at_any_cost
        if not self._is_costed:
            return sizes
        return range(sizes.start, max((k for k in sizes if self._affordable(k)), default=sizes.start - 1) + 1)

    @property
    def _sizes_at_any_cost(self) -> range:
        most = len(self.allowed) if self.max_size is None else min(self.max_size, len(self.allowed))
        return range(max(self.min_size, len(self.must_have)), min(most, self.budget // self.grid[0]) + 1)

    @property
    def _is_costed(self) -> bool:
        """Whether costs constrain; until the catalog's are filled in, they are not known."""
        return self.max_cost is not None and self.sample_costs is not None

    @cached_property
    def _costs(self) -> dict[str, float]:
        """Cost of a sample, of every allowed subset."""
        return {subset: (self.sample_costs or {}).get(subset, 0.0) for subset in self.allowed}

    def _affordable(self, size: int) -> bool:
        cheapest = sorted(self._costs[s] for s in self.optional)[: size - len(self.must_have)]
        least = self.grid[0] * (sum(self._costs[s] for s in self.must_have) + sum(cheapest))
        return self.max_cost is None or least <= self.max_cost + TOLERANCE

    def cost(self, composition: Mapping[str, int]) -> float:
        """What the samples of a composition of allowed subsets cost."""
        return cost_of(composition, self._costs)

    def is_affordable(self, composition: Mapping[str, int]) -> bool:
        """Whether a composition of allowed subsets costs at most `max_cost`."""
        return not self._is_costed or self.max_cost is None or self.cost(composition) <= self.max_cost + TOLERANCE

    def made_cheaper(self, counts: Mapping[str, int], *, min_size: int, order: Callable[[str], str]) -> dict[str, int]:
        """`counts` with less of what is dear until it is affordable; see `prices.cheaper`."""
        if not self._is_costed or self.max_cost is None:
            return dict(counts)
        return cheaper(
            counts,
            grid=self.grid,
            costs=self._costs,
            max_cost=self.max_cost,
            must_have=self.must_have,
            allowed=self.allowed,
            min_size=min_size,
            order=order,
        )

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
        found += [
            f"{subset} has {composition[subset]} samples{self._why_capped(subset)}, more than {self._most[subset]}"
            for subset in sorted(chosen & set(self.allowed) & set(self._most))
            if composition[subset] > self._most[subset]
        ]
        total = sum(composition.values())
        if chosen <= set(self.allowed) and not self.is_affordable(composition):
            found.append(f"it costs {self.cost(composition):g}, more than max_cost {self.max_cost:g}")
        if total > self.budget:
            found.append(f"{total} samples exceed the budget of {self.budget}")
        if len(chosen) < self.min_size:
            found.append(f"{len(chosen)} subsets are fewer than min_size {self.min_size}")
        if self.max_size is not None and len(chosen) > self.max_size:
            found.append(f"{len(chosen)} subsets are more than max_size {self.max_size}")
        return found

    def _why_capped(self, subset: str) -> str:
        return " of a target's own key" if subset in (self.own_key_samples or {}) else ""

    def contains(self, composition: Mapping[str, int]) -> bool:
        """Whether `composition` keeps every constraint."""
        return not self.violations(composition)

    def count(self, size: int | None = None) -> int:
        """The exact number of compositions (of `size` subsets, if given).

        With `max_cost` and more than `MAX_COUNTED` of them: an upper bound, the number without that constraint.
        """
        sizes = self.sizes if size is None else [size] if size in self.sizes else []
        if self._is_costed:
            num_affordable = self._num_affordable if size is None else self._counted(sizes)
            if num_affordable is not None:
                return num_affordable
        return sum(self._count_at_any_cost(size) for size in sizes)

    def _count_at_any_cost(self, size: int) -> int:
        """Capped subsets are chosen and counted one by one, the others all alike."""
        ways = {(0, 0): 1}  # by number and samples of the capped subsets that are chosen
        capped = [subset for subset in self.allowed if subset in self._most]
        for subset in capped:
            longer = {} if subset in self.must_have else dict(ways)
            for (number, total), count in ways.items():
                for step in self.grid_of(subset):
                    place = (number + 1, total + step)
                    longer[place] = longer.get(place, 0) + count
            ways = longer
        num_must = len(set(self.must_have) - set(capped))
        num_free = len(set(self.optional) - set(capped))
        return sum(
            count
            * math.comb(num_free, size - number - num_must)
            * self._table.count(size - number, self.budget - total)
            for (number, total), count in ways.items()
            if size - number >= num_must and total <= self.budget
        )

    @cached_property
    def _num_affordable(self) -> int | None:
        return self._counted(self.sizes)

    def _counted(self, sizes: Sequence[int]) -> int | None:
        number = sum(1 for _ in itertools.islice(self._walk(sizes), MAX_COUNTED + 1))
        return number if number <= MAX_COUNTED else None

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
        return self._walk(self.sizes)

    def _walk(self, sizes: Sequence[int]) -> Iterator[Composition]:
        for size in sizes:
            for picked in self._picks(size - len(self.must_have)):
                subsets = sorted((*self.must_have, *picked))
                for counts in self._counts_within(size, self.budget):
                    if any(count > self._most.get(s, count) for s, count in zip(subsets, counts, strict=True)):
                        continue
                    composition = Composition(dict(zip(subsets, counts, strict=True)))
                    if self.is_affordable(composition):
                        yield composition

    def _picks(self, size: int) -> Iterator[tuple[str, ...]]:
        """Optional subsets by `size`; those that cost too much at their smallest are not walked through."""
        if not self._is_costed or self.max_cost is None:
            return itertools.combinations(self.optional, size)
        least = {subset: self.grid[0] * cost for subset, cost in self._costs.items()}
        left = self.max_cost - sum(least[subset] for subset in self.must_have)
        return picks_within(self.optional, size, least, left)

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

        With `max_cost` a draw that is too dear is drawn again, and made cheaper after `MAX_COST_DRAWS` draws; a draw
        with too much of a target's own key likewise.

        Args:
            rng: the source of randomness; without costs and own keys the draw is exact and rejects nothing.
            size: draw among compositions of this many subsets only.

        Raises:
            UserError: there is no composition of that size.
        """
        if size is not None and size not in self.sizes:
            raise UserError(f"there is no composition of {size} subsets", hint=f"sizes are {list(self.sizes)}")
        for _ in range(MAX_COST_DRAWS):
            drawn = self._draw(rng, self.sizes[rng.randrange(len(self.sizes))] if size is None else size)
            if self.contains(drawn):
                return drawn
        least = self.sizes[0] if size is None else size
        capped = {subset: min(count, self.grid_of(subset)[-1]) for subset, count in drawn.items()}
        return Composition(self.made_cheaper(capped, min_size=least, order=str))

    def _draw(self, rng: random.Random, size: int) -> Composition:
        picked = rng.sample(self.optional, size - len(self.must_have))
        subsets = sorted((*self.must_have, *picked))
        return Composition(dict(zip(subsets, self._table.draw(rng, size), strict=True)))
