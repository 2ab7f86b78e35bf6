from __future__ import annotations

from search.strategies.static import StaticStrategy
from tests.search.strategies.three_sources import CONTEXT, SPACE, proposals


def test_static_ranks_by_the_other_targets_only() -> None:
    strategy = StaticStrategy(space=SPACE, seed=0, context=CONTEXT)
    assert proposals(strategy, 5) == [("far",), ("half",), ("near",), ("far", "half"), ("far", "half", "near")]
