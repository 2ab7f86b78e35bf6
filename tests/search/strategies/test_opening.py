"""The opening: a fixed list of at most half of the trials, in which every source comes as often as the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.space.recipe_space import RecipeSpace
from search.strategies.interface import Observation, SearchContext
from search.strategies.opening import FEWEST_RESULTS, opening
from search.vocabulary import Status

RATE = {"rate": {"kind": "log_uniform", "low": 0.001, "high": 0.1}}


def space(num_sources: int = 8, *, with_rate: bool = False, **limits: int) -> SearchSpace:
    sources = tuple(f"s{k:02d}" for k in range(num_sources))
    composition = CompositionSpace(sources=sources, num_samples=(10, 20), budget=20 * num_sources, **limits)
    return SearchSpace(composition=composition, recipe=RecipeSpace.model_validate(RATE if with_rate else {}))


def known_singles(searched: SearchSpace) -> tuple[Observation, ...]:
    return tuple(
        Observation(
            candidate=Candidate(Composition({source: 20})), values=(0.5,), status=Status.finished, proposal_index=-1 - k
        )
        for k, source in enumerate(searched.composition.allowed)
    )


def test_single_sources_then_everything_then_balanced_compositions() -> None:
    listed = [candidate.composition for candidate, _ in opening(space(), SearchContext(), seed=0)]
    assert [c.subsets for c in listed[:8]] == [(f"s{k:02d}",) for k in range(8)]
    assert len(listed[8]) == 8
    assert len(listed) == FEWEST_RESULTS
    assert {len(c) for c in listed[9:]} == {2, 3, 4}


@given(
    st.integers(2, 60), st.one_of(st.none(), st.integers(1, 150)), st.integers(1, 4), st.booleans(), st.booleans(),
    st.integers(0, 5),
)  # fmt: skip
def test_it_is_in_the_space_without_repeats_and_balanced(
    num_sources: int, num_trials: int | None, min_size: int, is_known: bool, with_rate: bool, seed: int
) -> None:
    searched = space(
        num_sources, with_rate=with_rate, min_size=min(min_size, num_sources), max_size=min(8, num_sources)
    )
    known = known_singles(searched) if is_known else ()
    context = SearchContext(num_trials=num_trials, known=known, recipe={"rate": 0.01} if with_rate else {})
    listed = opening(searched, context, seed=seed)
    candidates = [candidate for candidate, _ in listed]
    assert all(searched.contains(candidate) for candidate in candidates)
    assert len({c.composition for c in candidates}) == len(candidates)
    assert not {c.composition for c in candidates} & {o.candidate.composition for o in known}
    assert len(candidates) <= max(FEWEST_RESULTS, 2 * num_sources)
    if num_trials is not None:
        assert len(candidates) <= max(1, num_trials // 2) + 1  # everything together may come on top
    balanced = [c.composition for c, reason in listed if reason.startswith("opening")]
    uses = Counter(source for composition in balanced for source in composition)
    assert max(uses.values(), default=0) - min((uses[s] for s in searched.composition.allowed), default=0) <= 2
    assert listed == opening(searched, context, seed=seed)


def test_what_the_matrix_knows_is_not_trained_again_and_leaves_room() -> None:
    searched = space(12)
    listed = opening(searched, SearchContext(known=known_singles(searched), num_trials=48), seed=0)
    assert len(listed) == FEWEST_RESULTS - 12
    assert all(len(candidate.composition) > 1 for candidate, _ in listed)


def test_a_source_that_the_matrix_trained_with_fewer_samples_is_known_too() -> None:
    searched = space(6)
    first, *others = known_singles(searched)
    small = replace(first, candidate=Candidate(Composition({"s00": 10})))
    listed = opening(searched, SearchContext(known=(small, *others)), seed=0)
    assert all(len(candidate.composition) > 1 for candidate, _ in listed)


@pytest.mark.parametrize("is_known", [False, True])
def test_many_sources_and_few_trials_are_half_opening_half_search(is_known: bool) -> None:
    searched = space(53)
    known = known_singles(searched) if is_known else ()
    listed = opening(searched, SearchContext(num_trials=24, known=known), seed=0)
    assert len(listed) == 12
    assert all(len(candidate.composition) > 1 for candidate, _ in listed)


def test_every_composition_of_the_opening_holds_what_it_must() -> None:
    composition = CompositionSpace(sources=tuple("abcdef"), num_samples=(10,), budget=60, min_size=2, must_have=("a",))
    listed = opening(SearchSpace(composition=composition), SearchContext(), seed=0)
    assert listed
    assert all("a" in candidate.composition for candidate, _ in listed)
