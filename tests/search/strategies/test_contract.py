"""Every strategy keeps the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datasets_spec.errors import UserError
from search.strategies.registry import STRATEGY_NAMES, build_strategy
from tests.search.strategies import contract


@pytest.mark.parametrize("name", STRATEGY_NAMES)
@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_strategy_keeps_the_contract(name: str, check: Callable[[str], None]) -> None:
    check(name)


def test_seeds_differ() -> None:
    for name in ("random", "optuna-tpe"):
        one, other = (
            [c.identity for c in contract.run(build_strategy(name, space=contract.constrained_space(), seed=s), 14)]
            for s in (1, 2)
        )
        assert one != other


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'optuna-tpe'"):
        build_strategy("optuna", space=contract.tiny_space(), seed=0)
