from __future__ import annotations

import pickle

import pytest

from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.space.recipe_space import Choice, RecipeSpace


def test_candidates_are_their_content_and_cannot_change() -> None:
    one = Candidate(Composition({"a": 1}), {"y": 1, "x": 0.1})
    other = Candidate.from_dict({"recipe": {"x": 0.1, "y": 1}, "composition": {"a": 1}})
    assert one == other
    assert one.identity == other.identity == pickle.loads(pickle.dumps(one)).identity
    assert one != Candidate(Composition({"a": 1}), {"x": 0.1, "y": 2})
    with pytest.raises(AttributeError):
        one.identity = "0"


def test_search_space_is_the_product() -> None:
    space = SearchSpace(
        composition=CompositionSpace(sources=("a", "b"), num_samples=(1,), budget=2),
        recipe=RecipeSpace({"rank": Choice(values=(4, 8))}),
    )
    listed = list(space.enumerate())
    assert len(listed) == len(set(listed)) == space.count() == 6
    assert all(space.contains(candidate) for candidate in listed)
    assert space.violations(Candidate(Composition({"a": 1}))) == ["recipe lacks rank"]
