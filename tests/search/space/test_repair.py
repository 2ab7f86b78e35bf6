"""Repair of proposals that break constraints."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.space.repair import repair

SOURCES = ("a", "b", "c", "d", "e")
counts_of = st.dictionaries(st.sampled_from([*SOURCES, "stranger"]), st.integers(0, 30))


@settings(max_examples=300, deadline=None)
@given(
    counts_of,
    st.integers(1, 60),
    st.integers(1, 3),
    st.integers(3, 5),
    st.sets(st.sampled_from(SOURCES), max_size=2),
    st.none() | st.integers(0, 60),
    st.dictionaries(st.sampled_from(SOURCES), st.integers(0, 9), max_size=2),
    st.none() | st.fixed_dictionaries({source: st.integers(1, 20) for source in SOURCES}),
)
def test_the_result_lies_in_the_space_and_stays_there(
    counts: dict[str, int],
    budget: int,
    min_size: int,
    max_size: int,
    must: set[str],
    max_cost: int | None,
    own: dict[str, int],
    rows: dict[str, int] | None,
) -> None:
    try:
        space = CompositionSpace(
            sources=SOURCES,
            num_samples=(2, 5, 9) if rows is None else (5, "all"),
            source_rows=rows,
            budget=budget,
            min_size=min_size,
            max_size=max_size,
            must_have=tuple(sorted(must)),
            max_cost=max_cost,
            sample_costs={"a": 0, "b": 1, "c": 2, "d": 3, "e": 4},
            own_key_samples=own,
        )
    except ValidationError:
        return
    repaired = repair(counts, space)
    assert space.violations(repaired) == []
    assert repair(repaired, space) == repaired
    assert repair(dict(reversed(counts.items())), space) == repaired


def test_steps_are_small() -> None:
    space = CompositionSpace(sources=SOURCES, num_samples=(10, 20, 40), budget=60, max_size=3)
    assert repair({"a": 20, "b": 40}, space) == Composition({"a": 20, "b": 40})
    assert repair({"a": 19, "b": 38}, space) == Composition({"a": 20, "b": 40})
    assert repair({"a": 40, "b": 40}, space).total == 60
    assert repair({"a": 10, "b": 20, "c": 20, "d": 20}, space) == Composition({"b": 20, "c": 20, "d": 20})


def test_what_is_dear_becomes_less() -> None:
    costs = {"a": 1.0, "b": 1.0, "c": 5.0, "d": 0.0, "e": 9.0}
    space = CompositionSpace(
        sources=SOURCES, num_samples=(10, 20), budget=100, min_size=2, max_cost=60, sample_costs=costs
    )
    assert repair({"a": 20, "b": 20, "d": 20}, space) == Composition({"a": 20, "b": 20, "d": 20})
    assert repair({"a": 20, "c": 20, "d": 20}, space) == Composition({"a": 10, "c": 10, "d": 20})
    assert repair({"c": 10, "e": 10}, space) == Composition({"c": 10, "d": 10})


def test_no_name_is_favoured() -> None:
    space = CompositionSpace(sources=SOURCES, num_samples=(1,), budget=1)
    chosen = {repair(dict.fromkeys(SOURCES[k:], 1), space).subsets for k in range(4)}
    chosen |= {repair(dict.fromkeys(SOURCES[:k], 1), space).subsets for k in range(2, 5)}
    chosen |= {repair({}, CompositionSpace(sources=SOURCES, num_samples=(1,), budget=b)).subsets for b in (1, 2)}
    assert len(chosen) >= 3
