"""Which trials to run next so that one effect is known better: a greedy c-optimal design."""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from datasets_spec.errors import UserError
from search.evidence.explain.model import EffectsModel, Floats
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.statistics.ties import ROUNDING, index_of_largest

NUM_CANDIDATES = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class TopUp:
    """Trials that sharpen an effect.

    Attributes:
        compositions: to run, in the order of what they bring.
        half_width_before: half the width of the effect's 95 % interval now, as a share.
        half_width_after: what it is expected to be when they have been scored.
    """

    compositions: tuple[Composition, ...]
    half_width_before: float
    half_width_after: float

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "compositions": [dict(composition) for composition in self.compositions]}


def top_up(
    model: EffectsModel,
    weights: Floats,
    space: CompositionSpace,
    *,
    num_trials: int,
    seed: int,
    taken: Collection[frozenset[str]] = (),
) -> TopUp:
    """Choose compositions whose scores narrow the interval of `weights . coefficients` most.

    A trial's score on every target is one measurement of the model's linear form; the posterior variance after it
    does not depend on what it will say (Chaloner and Verdinelli, Statist. Sci. 10, 1995). Chosen one after the other
    out of compositions drawn from the space.

    Args:
        model: fitted to what is there.
        weights: the effect, [num_coefficients].
        space: of the study.
        num_trials: to choose.
        seed: of the candidates.
        taken: sets of subsets that are not to be repeated.

    Raises:
        UserError: nothing is left to try.
    """
    rng = random.Random(f"top-up/{seed}")
    drawn = {frozenset(c): c for c in (space.sample(rng) for _ in range(NUM_CANDIDATES))}
    candidates = [composition for held, composition in drawn.items() if held not in taken]
    if not candidates:
        raise UserError("every composition of the space has been tried", hint="replicates sharpen too: other seeds")
    names = model.trials.subsets
    presence = np.array([[float(name in c) for name in names] for c in candidates])
    rows = [model.rows(presence, t) for t in range(len(model.trials.targets))]  # [T] of [k, coefficients]
    covariance, noise = model.posterior_covariance(), model.noise_variance()
    before = _deviation(covariance, weights)
    chosen: list[int] = []
    for _ in range(min(num_trials, len(candidates))):
        along = covariance @ weights
        gains: Floats = np.zeros(len(candidates))
        for matrix in rows:
            spread = np.einsum("kc,cd,kd->k", matrix, covariance, matrix, optimize=True) + noise
            gains += (matrix @ along) ** 2 / spread
        left = [k for k in range(len(candidates)) if k not in chosen]
        best = left[index_of_largest(gains[left], tolerance=ROUNDING * before**2)]
        chosen.append(best)
        for matrix in rows:
            covariance = _with_measurement(covariance, matrix[best], noise)
    after = _deviation(covariance, weights)
    return TopUp(
        compositions=tuple(candidates[k] for k in chosen),
        half_width_before=1.96 * before,
        half_width_after=1.96 * after,
    )


def _deviation(covariance: Floats, weights: Floats) -> float:
    return math.sqrt(max(float(weights @ covariance @ weights), 0.0))


def _with_measurement(covariance: Floats, row: Floats, noise: float) -> Floats:
    """The posterior covariance after one more score (rank-one update)."""
    along = covariance @ row
    updated: Floats = covariance - np.outer(along, along) / (float(row @ along) + noise)
    return updated
