"""A space of three sources whose keys and results point in different directions."""

from __future__ import annotations

from datasets_spec.catalog.keys import Key
from search.space.candidate import Candidate, SearchSpace
from search.space.composition_space import CompositionSpace
from search.strategies.interface import Observation, SearchContext, Strategy
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
