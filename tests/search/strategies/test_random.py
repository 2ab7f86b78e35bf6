"""Random search."""

from __future__ import annotations

from collections import Counter

from search.space.candidate import Candidate, SearchSpace
from search.space.composition_space import CompositionSpace
from search.space.recipe_space import RecipeSpace
from search.strategies.interface import Observation
from search.strategies.random import RandomStrategy
from search.vocabulary import Status


def test_draws_do_not_depend_on_results() -> None:
    space = SearchSpace(composition=CompositionSpace(sources=tuple("abcdef"), num_samples=(10, 20), budget=60))
    strategy = RandomStrategy(space=space, seed=1)
    first = strategy.ask([], [])
    assert first is not None
    ended = [
        Observation(candidate=first.candidate, values=values, status=status, proposal_index=0)
        for values, status in (((0.1,), Status.finished), ((0.9,), Status.finished), (None, Status.oom))
    ]
    seconds = [strategy.ask([o], []) for o in ended] + [strategy.ask([], [first.candidate])]
    assert len(set(seconds)) == 1


def test_first_draws_are_spread_over_sizes() -> None:
    space = SearchSpace(composition=CompositionSpace(sources=tuple("abcdefgh"), num_samples=(1,), budget=8))
    sizes = Counter[int]()
    for seed in range(800):
        suggestion = RandomStrategy(space=space, seed=seed).ask([], [])
        assert suggestion is not None
        sizes[len(suggestion.candidate.composition)] += 1
    assert all(60 < sizes[size] < 140 for size in range(1, 9))


def test_continuous_recipes_never_run_out() -> None:
    space = SearchSpace(
        composition=CompositionSpace(sources=("a",), num_samples=(1,), budget=1),
        recipe=RecipeSpace.model_validate({"learning_rate": {"kind": "log_uniform", "low": 0.001, "high": 0.01}}),
    )
    strategy = RandomStrategy(space=space, seed=0)
    pending: list[Candidate] = []
    for _ in range(50):
        suggestion = strategy.ask([], pending)
        assert suggestion is not None
        pending.append(suggestion.candidate)
    assert len(set(pending)) == 50
