"""How likely a candidate is to keep what is asked of other scores than the objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.strategies.surrogate.gaussian_process import Prediction

Floats = NDArray[np.float64]
# The posterior, for some candidates, of a weighted sum of targets.
Ask = Callable[[Floats], Prediction]
# What keeps some constraint less probably than this is proposed only where nothing else is left: by more than the
# logarithm of any improvement.
LEAST_PROBABILITY = 0.1
UNLIKELY = 1e9
# Further below, differences are rounding, and no candidate is told from another.
LEAST_LOG = -700.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Constraint:
    """A score that must be reached.

    Attributes:
        weights: [T] which sum of targets.
        least: score.
    """

    weights: Floats
    least: float


def log_feasibility(ask: Ask, constraints: Sequence[Constraint]) -> Floats | float:
    """Logarithm of the probability that all constraints are kept, [n]; each by itself, as in Gardner et al. (2014)."""
    total: Floats | float = 0.0
    for logs in _logs(ask, constraints):
        total = total + logs
    return total


def log_worth(ask: Ask, constraints: Sequence[Constraint]) -> Floats | float:
    """The same with what is unlikely to keep some constraint far below all else.

    Where little is left to gain, the product alone prefers what gains much to what keeps anything.
    """
    total: Floats | float = 0.0
    for logs in _logs(ask, constraints):
        total = total + logs - UNLIKELY * (logs < np.log(LEAST_PROBABILITY))
    return total


def _logs(ask: Ask, constraints: Sequence[Constraint]) -> Iterator[Floats]:
    from scipy.special import log_ndtr

    for constraint in constraints:
        found = ask(constraint.weights)
        logs: Floats = np.maximum(log_ndtr((found.mean - constraint.least) / found.deviation), LEAST_LOG)
        yield logs


def is_kept(ask: Ask, constraints: Sequence[Constraint]) -> NDArray[np.bool_]:
    """Whether each constraint is likelier kept than broken, [n]; all are where there is none (shape [])."""
    kept = np.asarray(True)
    for constraint in constraints:
        kept = kept & (ask(constraint.weights).mean >= constraint.least)
    return kept
