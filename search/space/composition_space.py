"""Which compositions are allowed: constraints, exact counts, draws."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Self

from pydantic import NonNegativeFloat, PositiveInt, model_validator

from datasets_spec.errors import UserError
from search.space.composition import Composition
from search.space.counting import BudgetTable, budget_table, ways_by_total
from search.space.levels import within_budget
from search.space.prices import TOLERANCE, cheaper, cost_of, picks_within
from search.space.source_numbers import SourceNumbers

# With a cost constraint, or numbers of samples by source, compositions are counted one by one, up to so many; beyond,
# the count is an upper bound.
MAX_COUNTED = 2**17
# Totals that such compositions are told apart by, where there are too many of them to count one by one.
MAX_TOTALS = 512
# Draws that may cost too much before one is made cheaper instead.
MAX_COST_DRAWS = 200


class CompositionSpace(SourceNumbers):
    """Which compositions a study may try.

    Attributes:
        min_size: the smallest number of subsets.
        max_size: the largest number of subsets; None leaves it to the budget.
        licences: only sources with one of these licences are used; `with_catalog` turns that into `must_not_have`.
        max_cost: the most that the samples of a composition may cost together.
        sample_costs: cost of one sample by subset; `with_catalog` takes them from the catalog.
    """

    min_size: PositiveInt = 1
    max_size: PositiveInt | None = None
    licences: tuple[str, ...] | None = None
    max_cost: NonNegativeFloat | None = None
    sample_costs: dict[str, NonNegativeFloat] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.max_size is not None and self.max_size < max(self.min_size, len(self.must_have)):
            raise ValueError(f"max_size {self.max_size} is below min_size or the number of must_have subsets")
        if not self.sizes and self._sizes_at_any_cost:
            raise ValueError(f"no composition costs at most max_cost {self.max_cost:g}")
        if not self.sizes and self._sizes_of(self._fewest):
            number = max(self.min_size, len(self.must_have))
            raise ValueError(
                f"no composition is possible: with max_cost, {number} sources must fit the budget of {self.budget} "
                f"whichever they are, and {list(self._largest)} have no fewer than {max(self._fewest.values())} samples"
            )
        if not self.sizes:
            least = max(self.min_size, len(self.must_have))
            smallest = sum(sorted(levels[0] for levels in self.levels.values() if levels)[:least])
            raise ValueError(
                f"no composition is possible: {len(self.allowed)} sources are allowed, the smallest "
                f"composition has {smallest} samples, the budget is {self.budget}"
            )
        return self

    @cached_property
    def sizes(self) -> range:
        """The numbers of subsets for which there is a composition."""
        sizes = self._sizes_at_any_cost
        if not self._is_costed:
            return sizes
        return range(sizes.start, max((k for k in sizes if self._affordable(k)), default=sizes.start - 1) + 1)

    @cached_property
    def _fewest(self) -> dict[str, int]:
        """Samples of every allowed subset at its fewest."""
        return {subset: self.levels[subset][0] for subset in self.allowed}

    @property
    def _sizes_at_any_cost(self) -> range:
        least = self._fewest
        if self.max_cost is not None and least:  # what is cheapest need not be smallest: so many fit whichever they are
            least = dict.fromkeys(least, max(least.values()))
        return self._sizes_of(least)

    @property
    def limiting(self) -> tuple[str, ...]:
        """Sources so large at their fewest samples that, with `max_cost`, fewer sources are combined for them."""
        wider = [size for size in self._sizes_of(self._fewest) if not self._is_costed or self._affordable(size)]
        return self._largest if max(wider, default=0) > self.sizes[-1] else ()

    @property
    def _largest(self) -> tuple[str, ...]:
        """The allowed subsets whose fewest samples are most."""
        return tuple(s for s in self.allowed if self._fewest[s] == max(self._fewest.values()))

    def _sizes_of(self, least: Mapping[str, int]) -> range:
        """The numbers of subsets that fit the budget, by the fewest samples that each has or is taken to have."""
        most = len(self.allowed) if self.max_size is None else min(self.max_size, len(self.allowed))
        totals = itertools.accumulate(
            [*(least.get(s, 0) for s in self.must_have), *sorted(least[s] for s in self.optional)]
        )
        fitting = sum(total <= self.budget for total in totals)
        return range(max(self.min_size, len(self.must_have)), min(most, fitting) + 1)

    @property
    def _is_costed(self) -> bool:
        """Whether costs constrain; until the catalog's are filled in, they are not known."""
        return self.max_cost is not None and self.sample_costs is not None

    @cached_property
    def _costs(self) -> dict[str, float]:
        """Cost of a sample, of every allowed subset."""
        return {subset: (self.sample_costs or {}).get(subset, 0.0) for subset in self.allowed}

    def _affordable(self, size: int) -> bool:
        cheapest = sorted(self._least_costs[s] for s in self.optional)[: size - len(self.must_have)]
        least = sum(self._least_costs[s] for s in self.must_have) + sum(cheapest)
        return self.max_cost is None or least <= self.max_cost + TOLERANCE

    @cached_property
    def _least_costs(self) -> dict[str, float]:
        """Cost of every allowed subset at its fewest samples."""
        return {subset: self.levels[subset][0] * cost for subset, cost in self._costs.items()}

    def cost(self, composition: Mapping[str, int]) -> float:
        """What the samples of a composition of allowed subsets cost."""
        return cost_of(composition, self._costs)

    def is_affordable(self, composition: Mapping[str, int]) -> bool:
        """Whether a composition of allowed subsets costs at most `max_cost`."""
        return not self._is_costed or self.max_cost is None or self.cost(composition) <= self.max_cost + TOLERANCE

    def fitted(self, counts: Mapping[str, int], *, min_size: int, order: Callable[[str], str]) -> dict[str, int]:
        """`counts` with less of what is large or dear until budget and cost are kept; see `levels`, `prices`.

        Args:
            counts: of allowed subsets, all that must be in it, each with one of its numbers of samples.
            min_size: the smallest number of subsets, of `sizes`.
            order: breaks ties.
        """
        levels = {subset: self.levels[subset] for subset in self.allowed}
        fit = partial(
            within_budget, levels=levels, budget=self.budget, must_have=self.must_have, min_size=min_size, order=order
        )
        kept = fit(counts)
        if not self._is_costed or self.max_cost is None:
            return kept
        kept = cheaper(
            kept,
            levels=levels,
            costs=self._costs,
            max_cost=self.max_cost,
            must_have=self.must_have,
            allowed=self.allowed,
            min_size=min_size,
            order=order,
        )
        return fit(kept)

    @property
    def _table(self) -> BudgetTable:
        return budget_table(self.grid, self.budget, self.sizes[-1])

    def violations(self, composition: Mapping[str, int]) -> list[str]:
        """What is wrong with `composition`, in words; empty when it lies in the space."""
        chosen = {subset for subset, num_samples in composition.items() if num_samples}
        found = [f"{subset} is not an allowed source" for subset in sorted(chosen - set(self.allowed))]
        found += [f"{subset} must be in it" for subset in sorted(set(self.must_have) - chosen)]
        found += [
            f"{subset} has {composition[subset]} samples, not one of {list(self.levels.get(subset, self.grid))}"
            for subset in sorted(chosen)
            if composition[subset] not in self.levels.get(subset, self.grid)
            and composition[subset] <= self._most.get(subset, composition[subset])
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
        if self._is_costed and self.is_mixed and chosen <= set(self.allowed) and len(chosen) > self.sizes[-1]:
            found.append(f"{len(chosen)} subsets are more than the {self.sizes[-1]} that fit whichever they are")
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

        With `max_cost`, or numbers of samples by source, and more than `MAX_COUNTED` of them: an upper bound, the
        number without that constraint, or with totals rounded down.
        """
        sizes = self.sizes if size is None else [size] if size in self.sizes else []
        if self._is_costed or self.is_mixed:
            num_affordable = self._num_affordable if size is None else self._counted(sizes)
            if num_affordable is not None:
                return num_affordable
        return sum(self._count_at_any_cost(size) for size in sizes)

    def _count_at_any_cost(self, size: int) -> int:
        """Subsets with numbers of their own are chosen and counted one by one, the others all alike."""
        num_must = len(set(self.must_have) - set(self._particular))
        num_free = len(set(self.optional) - set(self._particular))
        return sum(
            count
            * math.comb(num_free, size - number - num_must)
            * self._table.count(size - number, self.budget - total)
            for (number, total), count in self._particular_ways.items()
            if size - number >= num_must
        )

    @cached_property
    def _particular(self) -> dict[str, tuple[int, ...]]:
        """Numbers of samples of the allowed subsets that have not all of the grid, or others."""
        return {s: self.levels[s] for s in self.allowed if self.levels[s] != self.grid or s in self._most}

    @cached_property
    def _particular_ways(self) -> dict[tuple[int, int], int]:
        unit = -(-self.budget // MAX_TOTALS) if self.is_mixed else 1
        return ways_by_total(self._particular, self.must_have, self.budget, unit)

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
                for counts in _counts_within([self.levels[s] for s in subsets], self.budget):
                    composition = Composition(dict(zip(subsets, counts, strict=True)))
                    if self.is_affordable(composition):
                        yield composition

    def _picks(self, size: int) -> Iterator[tuple[str, ...]]:
        """Optional subsets by `size`; those that cost too much at their smallest are not walked through."""
        if self._is_costed and self.max_cost is not None:
            least, limit = self._least_costs, self.max_cost
        elif self.is_mixed:
            least, limit = {s: float(self.levels[s][0]) for s in self.allowed}, float(self.budget)
        else:
            return itertools.combinations(self.optional, size)
        return picks_within(self.optional, size, least, limit - sum(least[subset] for subset in self.must_have))

    def sample(self, rng: random.Random, size: int | None = None) -> Composition:
        """Draw a composition: the size uniformly, then uniformly among the compositions of that size.

        Drawing sizes first keeps small compositions in view: among all 2^N subsets nearly all have about N/2.

        With `max_cost` a draw that is too dear is drawn again, and made cheaper after `MAX_COST_DRAWS` draws; a draw
        with too much of a target's own key likewise. Where sources have numbers of samples of their own, subsets are
        drawn first and then each one's number, and what exceeds the budget is drawn again or made smaller.

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
        capped = {
            subset: max(n for n in self.levels[subset] if n <= max(count, self.levels[subset][0]))
            for subset, count in drawn.items()
        }
        return Composition(self.fitted(capped, min_size=self.sizes[0] if size is None else size, order=str))

    def _draw(self, rng: random.Random, size: int) -> Composition:
        picked = rng.sample(self.optional, size - len(self.must_have))
        subsets = sorted((*self.must_have, *picked))
        if self.is_mixed:
            return Composition({subset: rng.choice(self.levels[subset]) for subset in subsets})
        return Composition(dict(zip(subsets, self._table.draw(rng, size), strict=True)))


def _counts_within(levels: Sequence[Sequence[int]], budget: int) -> Iterator[tuple[int, ...]]:
    if not levels:
        yield ()
        return
    least = sum(counts[0] for counts in levels[1:])
    for first in levels[0]:
        if first + least > budget:
            return
        for rest in _counts_within(levels[1:], budget - first):
            yield (first, *rest)
