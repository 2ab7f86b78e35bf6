"""Rules: by keys, and by what has helped elsewhere."""

from __future__ import annotations

import pytest

from datasets_spec.errors import UserError
from search.strategies.interface import SearchContext
from search.strategies.metadata import MetadataStrategy
from tests.search.strategies.three_sources import CONTEXT, SPACE, proposals


def test_metadata_tries_what_shares_most_first() -> None:
    strategy = MetadataStrategy(space=SPACE, seed=0, context=CONTEXT)
    # near and half share two elements each, far one.
    assert proposals(strategy, 3) == [("half", "near"), ("far", "half", "near"), ("half",)]


def test_metadata_needs_keys() -> None:
    with pytest.raises(UserError, match="keys"):
        MetadataStrategy(space=SPACE, seed=0, context=SearchContext())
