"""Rules: by keys, and by what has helped elsewhere."""

from __future__ import annotations

import pytest

from datasets_spec.catalog.keys import Key
from datasets_spec.errors import UserError
from search.space.candidate import Candidate, SearchSpace
from search.space.composition import Composition, CompositionSpace
from search.strategies.context import SearchContext
from search.strategies.interface import Observation, Strategy
from search.strategies.merge_then_confirm import MergeThenConfirmStrategy
from search.strategies.metadata import MetadataStrategy, StaticStrategy
from search.vocabulary import Status

SPACE = SearchSpace(composition=CompositionSpace(sources=("near", "half", "far"), num_samples=(10,), budget=30))
CONTEXT = SearchContext(
    source_keys={
        "near": Key(modality="CT", area="Lung", task="grading"),
        "half": Key(modality="CT", area="Brain", task="staging"),
        "far": Key(modality="US", area="Skin", task="staging"),
    },
    target_keys={
        "target": Key(modality="CT", area="Lung", task="staging"),
        "other": Key(modality="US", area="Skin", task="grading"),
    },
    objectives=(("target",),),
)
OTHERS = {"near": 0.5, "half": 0.9, "far": 0.7}


def observed(candidate: Candidate, index: int) -> Observation:
    scores = {"target": 0.5, "other": sum(OTHERS[s] for s in candidate.composition) / len(candidate.composition)}
    return Observation(candidate=candidate, values=(0.5,), status=Status.finished, proposal_index=index, scores=scores)


def proposals(strategy: Strategy, num: int) -> list[tuple[str, ...]]:
    history: list[Observation] = []
    for index in range(num):
        suggestion = strategy.ask(history, [])
        assert suggestion is not None
        history.append(observed(suggestion.candidate, index))
    return [o.candidate.composition.subsets for o in history]


def test_metadata_tries_what_shares_most_first() -> None:
    strategy = MetadataStrategy(space=SPACE, seed=0, context=CONTEXT)
    # near and half share two elements each, far one.
    assert proposals(strategy, 3) == [("half", "near"), ("far", "half", "near"), ("half",)]


def test_metadata_needs_keys() -> None:
    with pytest.raises(UserError, match="keys"):
        MetadataStrategy(space=SPACE, seed=0, context=SearchContext())


def test_static_ranks_by_the_other_targets_only() -> None:
    strategy = StaticStrategy(space=SPACE, seed=0, context=CONTEXT)
    assert proposals(strategy, 5) == [("far",), ("half",), ("near",), ("far", "half"), ("far", "half", "near")]


def test_merge_then_confirm_follows_the_proxy_after_the_singles() -> None:
    def proxy(composition: Composition) -> dict[str, float]:
        return {"target": 0.9 if composition.subsets == ("far", "near") else 0.1, "other": 1.0}

    context = SearchContext(target_keys=CONTEXT.target_keys, objectives=CONTEXT.objectives, proxy=proxy)
    strategy = MergeThenConfirmStrategy(space=SPACE, seed=0, context=context)
    assert proposals(strategy, 4)[3] == ("far", "near")


def test_merge_then_confirm_needs_merges() -> None:
    with pytest.raises(UserError, match="merged adapters"):
        MergeThenConfirmStrategy(space=SPACE, seed=0, context=CONTEXT)
