"""The one interface of all strategies, and what they share."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from datasets_spec.errors import UserError
from search.composition import Candidate, SearchSpace
from search.status import Status

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
    """

    candidate: Candidate
    values: tuple[float, ...] | None
    status: Status
    proposal_index: int


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


_STRATEGIES = {
    "random": ("search.strategies.random", "RandomStrategy"),
    "optuna-tpe": ("search.strategies.optuna_tpe", "OptunaTpeStrategy"),
    "exhaustive": ("search.strategies.exhaustive", "ExhaustiveStrategy"),
}
STRATEGY_NAMES = tuple(_STRATEGIES)


def build_strategy(name: str, *, space: SearchSpace, seed: int, num_objectives: int = 1) -> Strategy:
    """The strategy called `name`; only its own libraries are imported.

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
    strategy: Strategy = getattr(importlib.import_module(module), attribute)(
        space=space, seed=seed, num_objectives=num_objectives
    )
    return strategy


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
