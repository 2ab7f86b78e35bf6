"""Every candidate once."""

from __future__ import annotations

import pytest

from datasets_spec.errors import UserError
from search.space.candidate import SearchSpace
from search.space.composition_space import CompositionSpace
from search.space.recipe_space import RecipeSpace
from search.strategies.exhaustive import ExhaustiveStrategy


def test_small_compositions_come_first_and_the_place_is_said() -> None:
    space = SearchSpace(composition=CompositionSpace(sources=("b", "a"), num_samples=(1,), budget=2))
    suggestion = ExhaustiveStrategy(space=space, seed=0).ask([], [])
    assert suggestion is not None
    assert str(suggestion.candidate.composition) == "a:1"
    assert suggestion.reason == "candidate 1 of 3"


def test_ranges_and_huge_spaces_are_refused() -> None:
    small = CompositionSpace(sources=("a",), num_samples=(1,), budget=1)
    recipe = RecipeSpace.model_validate({"rank": {"kind": "int_range", "low": 1, "high": 2}})
    with pytest.raises(UserError, match="rank is a range"):
        ExhaustiveStrategy(space=SearchSpace(composition=small, recipe=recipe), seed=0)
    huge = CompositionSpace(sources=tuple(f"s{i}" for i in range(20)), num_samples=(1,), budget=20)
    with pytest.raises(UserError, match="1048575 candidates"):
        ExhaustiveStrategy(space=SearchSpace(composition=huge), seed=0)
