"""Forward selection goes up level by level."""

from __future__ import annotations

from search.space.candidate import Candidate, SearchSpace
from search.space.composition_space import CompositionSpace
from search.strategies.greedy import GreedyStrategy
from search.strategies.interface import Observation
from search.vocabulary import Status

SPACE = SearchSpace(composition=CompositionSpace(sources=tuple("abcd"), num_samples=(10,), budget=40))
WORTH = {"a": 0.1, "b": 0.3, "c": 0.2, "d": -0.5}


def observed(candidate: Candidate, index: int) -> Observation:
    value = sum(WORTH[s] for s in candidate.composition)
    return Observation(candidate=candidate, values=(value,), status=Status.finished, proposal_index=index)


def test_the_best_of_a_level_is_the_base_of_the_next() -> None:
    strategy = GreedyStrategy(space=SPACE, seed=0)
    history: list[Observation] = []
    while len(history) < 10:
        suggestion = strategy.ask(history, [])
        assert suggestion is not None
        history.append(observed(suggestion.candidate, len(history)))
    proposed = ["".join(o.candidate.composition.subsets) for o in history]
    assert proposed == ["a", "b", "c", "d", "ab", "bc", "bd", "abc", "bcd", "abcd"]
    after = strategy.ask(history, [])
    assert after is not None
    assert "ended" in after.reason


def test_a_level_without_results_ends_the_selection_not_the_search() -> None:
    failed = [
        Observation(candidate=c, values=None, status=Status.failed, proposal_index=i)
        for i, c in enumerate(c for c in SPACE.enumerate() if len(c.composition) == 1)
    ]
    suggestion = GreedyStrategy(space=SPACE, seed=0).ask(failed, [])
    assert suggestion is not None
    assert suggestion.candidate not in [o.candidate for o in failed]
