"""The strategies by name, and how one is built."""

from __future__ import annotations

import difflib
import importlib

from datasets_spec.errors import UserError
from search.space.candidate import SearchSpace
from search.strategies.interface import SearchContext, Strategy

_STRATEGIES = {
    "recombine": ("search.strategies.recombine", "RecombineStrategy"),
    "random": ("search.strategies.random", "RandomStrategy"),
    "optuna-tpe": ("search.strategies.optuna_tpe", "OptunaTpeStrategy"),
    "greedy": ("search.strategies.greedy", "GreedyStrategy"),
    "metadata": ("search.strategies.metadata", "MetadataStrategy"),
    "static": ("search.strategies.static", "StaticStrategy"),
    "merge-then-confirm": ("search.strategies.merge_then_confirm", "MergeThenConfirmStrategy"),
    "exhaustive": ("search.strategies.exhaustive", "ExhaustiveStrategy"),
}
STRATEGY_NAMES = tuple(_STRATEGIES)
# Its model weighs a proposal by what it promises, and by the probability that it keeps the constraints.
WITH_MODEL = ("recombine",)
# These decide by keys, by other targets or by a proxy; the others take no context.
_WITH_CONTEXT = ("recombine", "metadata", "static", "merge-then-confirm")


def build_strategy(
    name: str, *, space: SearchSpace, seed: int, num_objectives: int = 1, context: SearchContext | None = None
) -> Strategy:
    """The strategy called `name`; only its own libraries are imported.

    Args:
        name: one of `STRATEGY_NAMES`.
        space: what may be proposed.
        seed: of all its draws.
        num_objectives: values of an observation.
        context: keys, targets and a proxy, for the strategies that use them.

    Raises:
        UserError: there is no such strategy (the nearest name is offered), or it cannot search this space.
    """
    if name not in _STRATEGIES:
        near = difflib.get_close_matches(name, _STRATEGIES, n=1, cutoff=0.0)
        raise UserError(
            f"there is no strategy {name!r}",
            hint=f"did you mean {near[0]!r}? Strategies: {', '.join(_STRATEGIES)}",
        )
    module, attribute = _STRATEGIES[name]
    facts = {"context": context or SearchContext()} if name in _WITH_CONTEXT else {}
    strategy: Strategy = getattr(importlib.import_module(module), attribute)(
        space=space, seed=seed, num_objectives=num_objectives, **facts
    )
    return strategy
