from __future__ import annotations

from functools import partial

import pytest

from search.bench.phantom import fine_tunes
from trainers.recipe import Recipe


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The corpus's fine-tunes take ten steps, which move answers already, for what is said of any number of them."""
    monkeypatch.setattr(fine_tunes, "Recipe", partial(Recipe, num_steps=10))
