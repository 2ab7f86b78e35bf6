from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datasets_spec.errors import UserError
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.space.repair import repair

NAMES = ("a", "b", "c", "d", "e")


@st.composite
def spaces(draw: st.DrawFn) -> CompositionSpace:
    """Small spaces with every kind of constraint; only possible ones."""
    sources = draw(st.permutations(NAMES[: draw(st.integers(1, 5))]))
    grid = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True))
    roles = [draw(st.sampled_from(["free", "free", "must", "not"])) for _ in sources]
    must = tuple(s for s, role in zip(sources, roles, strict=True) if role == "must")
    banned = tuple(s for s, role in zip(sources, roles, strict=True) if role == "not")
    levels = st.lists(st.sampled_from([1, 3, 7, "all"]), min_size=1, max_size=2, unique=True)
    small = draw(st.none() | st.dictionaries(st.sampled_from(sources), levels, max_size=2))
    rows = draw(st.none() | st.fixed_dictionaries({s: st.integers(1, 12) for s in sources}))
    try:
        return CompositionSpace(
            sources=tuple(sources),
            num_samples=(*grid, *(["all"] if draw(st.booleans()) and rows else [])),
            num_samples_of=small,
            source_rows=rows,
            budget=draw(st.integers(1, 30)),
            min_size=draw(st.integers(1, 3)),
            max_size=draw(st.none() | st.integers(1, 5)),
            must_have=must,
            must_not_have=banned,
            max_cost=draw(st.none() | st.integers(0, 40)),
            sample_costs=dict(zip(NAMES, draw(st.tuples(*[st.integers(0, 4)] * 5)), strict=True)),
            own_key_samples=draw(st.none() | st.dictionaries(st.sampled_from(NAMES), st.integers(0, 9), max_size=3)),
        )
    except ValidationError:
        return CompositionSpace(sources=tuple(sources), num_samples=tuple(grid), budget=max(grid))


def by_force(space: CompositionSpace) -> set[Composition]:
    """Every mapping from source to count, kept when it breaks no constraint: slow and obvious."""
    every = itertools.product(*((0, *space.levels.get(s, space.grid)) for s in space.sources))
    built = (Composition(dict(zip(space.sources, counts, strict=True))) for counts in every)
    return {composition for composition in built if space.contains(composition)}


@settings(max_examples=150, deadline=None)
@given(spaces())
def test_enumeration_and_count_are_those_of_brute_force(space: CompositionSpace) -> None:
    listed = list(space.enumerate())
    assert set(listed) == by_force(space)
    assert len(listed) == len({c.identity for c in listed}) == space.count()
    assert sum(space.count(size) for size in space.sizes) == space.count()


@settings(max_examples=150, deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_draws_lie_in_the_space_and_repeat_with_the_seed(space: CompositionSpace, seed: int) -> None:
    drawn = space.sample(random.Random(seed))
    assert space.violations(drawn) == []
    assert drawn == space.sample(random.Random(seed))
    for size in space.sizes:
        assert len(space.sample(random.Random(seed), size=size)) == size


def test_draws_are_uniform_over_sizes_then_over_compositions() -> None:
    space = CompositionSpace(sources=("a", "b", "c"), num_samples=(1, 2, 3), budget=5)
    rng = random.Random(0)
    seen = Counter(space.sample(rng) for _ in range(12_000))
    assert set(seen) == set(space.enumerate())
    for composition, times in seen.items():
        expected = 12_000 / len(space.sizes) / space.count(len(composition))
        assert abs(times - expected) < 5 * expected**0.5, (str(composition), times, expected)


def test_counts_far_beyond_enumeration_are_exact() -> None:
    space = CompositionSpace(sources=tuple(f"s{i}" for i in range(53)), num_samples=(100,), budget=5300)
    assert space.count() == 2**53 - 1
    with pytest.raises(UserError, match="9007199254740991 compositions"):
        space.enumerate(limit=10_000)
    bounded = CompositionSpace(sources=space.sources, num_samples=(100, 200, 400), budget=2000, max_size=12)
    assert bounded.contains(bounded.sample(random.Random(1)))


def test_enumeration_does_not_depend_on_the_spelling_of_the_space() -> None:
    one = CompositionSpace(sources=("b", "a", "c"), num_samples=(2, 1), budget=4)
    other = CompositionSpace(sources=("c", "b", "a"), num_samples=(1, 2), budget=4)
    assert list(one.enumerate()) == list(other.enumerate())
    assert one.sample(random.Random(3)) == other.sample(random.Random(3))


def test_violations_name_each_broken_constraint() -> None:
    space = CompositionSpace(
        sources=("a", "b", "c", "d"),
        num_samples=(10, 20),
        budget=30,
        max_size=2,
        must_have=("a",),
        must_not_have=("d",),
    )
    found = " / ".join(space.violations(Composition({"b": 20, "c": 15, "d": 10})))
    for part in (
        "d is not an allowed",
        "a must be in",
        "c has 15",
        "45 samples exceed",
        "3 subsets are more",
    ):
        assert part in found
    assert space.contains(Composition({"a": 10, "b": 20}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"must_have": ("z",)}, "not among the sources"),
        ({"must_have": ("a",), "must_not_have": ("a",)}, "both in must_have"),
        ({"budget": 5}, "no composition is possible"),
        ({"min_size": 3}, "no composition is possible"),
        ({"sources": ("a", "a")}, "more than once"),
        ({"max_size": 1, "must_have": ("a", "b")}, "max_size 1 is below"),
        ({"num_samples": (0,)}, "greater than 0"),
    ],
)
def test_impossible_spaces_are_refused(change: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {"sources": ("a", "b"), "num_samples": (10,), "budget": 20}
    with pytest.raises(ValidationError, match=message):
        CompositionSpace.model_validate(fields | change)


def test_costs_bind_in_counts_and_draws() -> None:
    costs = {"a": 0.1, "b": 1.0, "c": 2.0}
    space = CompositionSpace(sources=("a", "b", "c"), num_samples=(10, 20), budget=60, max_cost=21, sample_costs=costs)
    alone = [{"a": 10}, {"a": 20}, {"b": 10}, {"b": 20}, {"c": 10}]
    together = [{"a": 10, "b": 10}, {"a": 20, "b": 10}, {"a": 10, "b": 20}, {"a": 10, "c": 10}]
    assert [c.as_dict() for c in space.enumerate()] == [*alone, together[0], together[2], together[1], together[3]]
    assert space.count() == 9
    assert space.contains({"a": 10, "b": 20})
    assert space.violations({"b": 20, "c": 10}) == ["it costs 40, more than max_cost 21"]
    drawn = {space.sample(random.Random(seed)) for seed in range(300)}
    assert drawn == set(space.enumerate())
    with pytest.raises(ValidationError, match="no composition costs at most max_cost 20"):
        CompositionSpace(sources=("a", "b", "c"), num_samples=(10,), budget=60, must_have=("b", "c"), max_cost=20,
                         sample_costs=costs)  # fmt: skip


def test_a_large_space_with_few_affordable_compositions_is_drawn_and_listed_in_time() -> None:
    names = tuple(f"s{i:02d}" for i in range(53))
    costs = {name: 1.0 if i < 5 else 1000.0 for i, name in enumerate(names)}
    space = CompositionSpace(sources=names, num_samples=(1,), budget=53, max_cost=5, sample_costs=costs)
    assert space.count() == 2**5 - 1
    assert all(space.contains(space.sample(random.Random(seed))) for seed in range(20))
    wider = CompositionSpace.model_validate(space.model_dump() | {"max_cost": 5000.0})
    assert wider.count() > 2**17


def test_a_limit_of_one_source_is_kept_everywhere_and_leaves_the_others_alone() -> None:
    space = CompositionSpace(
        sources=("a", "b", "c"), num_samples=(4, 8, 16), budget=40, most_samples={"a": 9}, own_key_samples={"a": 99}
    )
    listed = list(space.enumerate())
    assert len(listed) == space.count()
    assert {c["a"] for c in listed if "a" in c} == {4, 8}
    assert {c["b"] for c in listed if "b" in c} == {4, 8, 16}
    rng = random.Random(0)
    assert all(space.contains(space.sample(rng)) for _ in range(200))
    assert repair({"a": 16, "b": 16}, space) == Composition({"a": 8, "b": 16})
    unlimited = space.model_copy(update={"own_key_samples": None})
    assert unlimited.violations({"a": 16}) == ["a has 16 samples, more than 9"]


@pytest.mark.parametrize(("most", "said"), [({"z": 9}, "not among the sources"), ({"a": 3}, "below the smallest")])
def test_a_limit_that_makes_no_sense_is_refused(most: dict[str, int], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CompositionSpace(sources=("a", "b"), num_samples=(4, 8), budget=16, most_samples=most)


def test_a_small_source_gives_what_it_has_and_the_others_all_that_is_asked() -> None:
    rows = {"small": 60, "large": 9000, "middle": 500}
    fields = {"sources": tuple(rows), "num_samples": (500, "all"), "budget": 2000, "source_rows": rows}
    space = CompositionSpace.model_validate(fields)
    assert [space.grid_of(source) for source in ("large", "middle", "small")] == [(500, 9000), (500,), (60,)]
    assert list(space.enumerate())[-1] == Composition({"large": 500, "middle": 500, "small": 60})
    assert space.violations({"small": 500}) == ["small has 500 samples, not one of [60]"]
    assert repair({"large": 9000, "small": 500}, space) == Composition({"large": 500, "small": 60})
    whole = CompositionSpace.model_validate(fields | {"num_samples": "all"})
    assert whole.allowed == ("middle", "small"), "all of `large` exceeds the budget"
    assert whole.count() == 3
    named = CompositionSpace.model_validate(fields | {"num_samples_of": {"large": [100, 200], "small": "all"}})
    assert (named.grid_of("large"), named.grid_of("small")) == ((100, 200), (60,))


def test_all_is_bounded_by_most_samples_and_unknown_before_the_data_are_prepared() -> None:
    fields = {"sources": ("a", "b"), "num_samples": "all", "budget": 50, "most_samples": {"a": 20}}
    assert CompositionSpace.model_validate(fields).needs_rows
    known = CompositionSpace.model_validate(fields | {"source_rows": {"a": 900, "b": 30}})
    assert not known.needs_rows
    assert [c.as_dict() for c in known.enumerate()] == [{"a": 20}, {"b": 30}, {"a": 20, "b": 30}]


def test_all_of_a_few_shot_source_is_as_many_as_may_be_trained_on() -> None:
    fields = {"sources": ("a", "b"), "num_samples": "all", "budget": 50, "source_rows": {"a": 30, "b": 20}}
    few = CompositionSpace.model_validate(fields | {"own_key_samples": {"a": 20}})
    assert few.levels == {"a": (20,), "b": (20,)}
    none = CompositionSpace.model_validate(fields | {"own_key_samples": {"a": 0}})
    assert none.allowed == ("b",)


def test_a_source_that_limits_how_many_are_combined_under_a_cost_is_named() -> None:
    fields = {"sources": ("a", "b", "c"), "num_samples": (10,), "num_samples_of": {"c": (1000,)}, "budget": 1000}
    assert CompositionSpace.model_validate(fields).limiting == ()
    costed = CompositionSpace.model_validate(fields | {"max_cost": 1e9, "sample_costs": {}})
    assert costed.sizes == range(1, 2)
    assert costed.limiting == ("c",)
    dear = CompositionSpace.model_validate(fields | {"max_cost": 10.0, "sample_costs": dict.fromkeys("abc", 1.0)})
    assert dear.limiting == (), "no two can be paid for in any case"
    with pytest.raises(ValidationError, match=r"whichever they are, and \['c'\] have no fewer than 1000"):
        CompositionSpace.model_validate(fields | {"max_cost": 1e9, "min_size": 2})


def test_many_sources_of_different_sizes_are_counted_drawn_and_repaired_in_time() -> None:
    rows = {f"s{i:02d}": 90 + 37 * i for i in range(53)}
    space = CompositionSpace(sources=tuple(rows), num_samples=(400, "all"), budget=6000, source_rows=rows)
    assert space.count() > 2**40
    rng = random.Random(0)
    assert all(space.contains(space.sample(rng)) for _ in range(50))
    assert space.contains(repair(rows, space))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_samples_of": {"z": (4,)}}, "num_samples_of lists z, which is not among"),
        ({"num_samples_of": {"a": ()}}, "num_samples_of lists no numbers of a"),
        ({"num_samples": "some"}, "num_samples"),
        ({"must_have": ("a",), "source_rows": {"a": 99, "b": 4}}, "whose fewest samples exceed the budget"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(change: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {"sources": ("a", "b"), "num_samples": ("all",), "budget": 16}
    with pytest.raises(ValidationError, match=message):
        CompositionSpace.model_validate(fields | change)
