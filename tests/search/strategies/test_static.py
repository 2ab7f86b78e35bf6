from __future__ import annotations

from dataclasses import replace

from search.space.candidate import Candidate
from search.space.repair import single_source
from search.strategies.static import StaticStrategy
from tests.search.strategies.three_sources import CONTEXT, SPACE, observed, proposals


def test_static_ranks_by_the_other_targets_only() -> None:
    strategy = StaticStrategy(space=SPACE, seed=0, context=CONTEXT)
    assert proposals(strategy, 5) == [("far",), ("half",), ("near",), ("far", "half"), ("far", "half", "near")]


def test_static_goes_by_the_mean_of_a_source_that_was_trained_again() -> None:
    singles = {source: Candidate(single_source(source, SPACE.composition)) for source in ("near", "half", "far")}
    known = [observed(single, -1 - place) for place, single in enumerate(singles.values())]
    lucky = replace(observed(singles["near"], -4), scores={"other": 0.99})
    strategy = StaticStrategy(space=SPACE, seed=0, context=replace(CONTEXT, known=(*known, lucky)))
    found = strategy.ask([], [])
    assert found is not None
    assert found.candidate == singles["half"]
