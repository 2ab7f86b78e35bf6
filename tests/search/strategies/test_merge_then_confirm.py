from __future__ import annotations

import pytest

from datasets_spec.errors import UserError
from search.space.composition import Composition
from search.strategies.interface import SearchContext
from search.strategies.merge_then_confirm import MergeThenConfirmStrategy
from tests.search.strategies.three_sources import CONTEXT, SPACE, proposals


def test_merge_then_confirm_follows_the_proxy_after_the_singles() -> None:
    def proxy(composition: Composition) -> dict[str, float]:
        return {"target": 0.9 if composition.subsets == ("far", "near") else 0.1, "other": 1.0}

    context = SearchContext(target_keys=CONTEXT.target_keys, objectives=CONTEXT.objectives, proxy=proxy)
    strategy = MergeThenConfirmStrategy(space=SPACE, seed=0, context=context)
    assert proposals(strategy, 4)[3] == ("far", "near")


def test_merge_then_confirm_needs_merges() -> None:
    with pytest.raises(UserError, match="merged adapters"):
        MergeThenConfirmStrategy(space=SPACE, seed=0, context=CONTEXT)
