"""The one interface of all strategies, and what they share."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, runtime_checkable

from datasets_spec.errors import UserError
from search.space.candidate import Candidate, SearchSpace
from search.strategies.context import SearchContext
from search.vocabulary import Status

# Draws before the remaining candidates are listed instead: a miss is likely only when nearly all are taken.
MAX_DRAWS = 200
# Spaces up to this size are listed in full, so that the last ones are still drawn uniformly.
MAX_LISTED = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What became of a proposal.

    Attributes:
        candidate: what was tried.
        values: one number an objective, all to be maximised; None when there is no finite result.
        status: how the trial ended.
        proposal_index: its place in the order of proposals, from 0.
        scores: accuracy by evaluation set, on the split that guides the search; None when that is not known.
    """

    candidate: Candidate
    values: tuple[float, ...] | None
    status: Status
    proposal_index: int
    scores: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """What to try next, and why in one line."""

    candidate: Candidate
    reason: str


class Strategy(Protocol):
    """Decides the next trial.

    `ask` is a pure function of (seed, space, history, pending): no state, clock or global random numbers.
    That is what lets a killed study go on exactly where it was, from the ledger alone.
    """

    name: str

    def ask(self, history: Sequence[Observation], pending: Sequence[Candidate]) -> Suggestion | None:
        """Propose a candidate that is neither in `history` nor in `pending`.

        Args:
            history: every proposal that has ended, failed ones included, in proposal order.
            pending: proposals that have not ended.

        Returns:
            The suggestion; None when every candidate of the space has been proposed.
        """
        ...


@runtime_checkable
class Recommender(Protocol):
    """A strategy that can say what is best by its model, tried or not."""

    def recommend(self, history: Sequence[Observation], *, target: str | None = None) -> Suggestion | None:
        """The candidate with the highest expected result.

        Args:
            history: as for `Strategy.ask`.
            target: an evaluation set; None asks for the objective.

        Returns:
            The candidate and why; None while there is nothing to go by.
        """
        ...


_STRATEGIES = {
    "recombine": ("search.strategies.recombine", "RecombineStrategy"),
    "random": ("search.strategies.random", "RandomStrategy"),
    "optuna-tpe": ("search.strategies.optuna_tpe", "OptunaTpeStrategy"),
    "greedy": ("search.strategies.greedy", "GreedyStrategy"),
    "metadata": ("search.strategies.metadata", "MetadataStrategy"),
    "static": ("search.strategies.metadata", "StaticStrategy"),
    "merge-then-confirm": ("search.strategies.merge_then_confirm", "MergeThenConfirmStrategy"),
    "exhaustive": ("search.strategies.exhaustive", "ExhaustiveStrategy"),
}
STRATEGY_NAMES = tuple(_STRATEGIES)


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


def best_observed(history: Sequence[Observation], target: str | None = None) -> Observation | None:
    """The observation with the highest value (of one target, if given); ties go to the earlier proposal."""
    scored = [(score, -o.proposal_index, o) for o in history if (score := score_of(o, target)) is not None]
    return max(scored, key=lambda entry: entry[:2])[2] if scored else None


def score_of(observation: Observation, target: str | None = None) -> float | None:
    """A target's accuracy, or the sum of the objectives; None when the trial has no finite result."""
    if target is not None:
        score = (observation.scores or {}).get(target)
    else:
        score = None if observation.values is None else sum(observation.values)
    return score if score is not None and math.isfinite(score) else None


def derived_rng(seed: int, *labels: int | str) -> random.Random:
    """A generator that depends on `seed` and `labels` only: not on the process or on earlier draws."""
    return random.Random(derived_seed(seed, *labels))


def derived_seed(seed: int, *labels: int | str) -> int:
    """A 32-bit seed from `seed` and `labels` (Optuna's samplers take no more)."""
    text = "|".join([str(seed), *map(str, labels)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def taken_identities(history: Sequence[Observation], pending: Sequence[Candidate]) -> frozenset[str]:
    """The identities that must not be proposed again."""
    return frozenset([*(o.candidate.identity for o in history), *(c.identity for c in pending)])


def draw_untaken(space: SearchSpace, rng: random.Random, taken: frozenset[str]) -> Candidate | None:
    """Draw a candidate that is not taken; None when, and only when, there is none."""
    for _ in range(MAX_DRAWS):
        candidate = space.sample(rng)
        if candidate.identity not in taken:
            return candidate
    if space.count() is None:
        return _draw_continuous(space, rng, taken)
    # Of any len(taken) + 1 different candidates at least one is free.
    listed = islice(space.enumerate(), max(MAX_LISTED, len(taken) + 1))
    free = [candidate for candidate in listed if candidate.identity not in taken]
    return free[rng.randrange(len(free))] if free else None


def _draw_continuous(space: SearchSpace, rng: random.Random, taken: frozenset[str]) -> Candidate:
    """A continuous dimension always has a value left (`recipe_space` refuses ranges too narrow for that)."""
    while True:
        candidate = space.sample(rng)
        if candidate.identity not in taken:
            return candidate
