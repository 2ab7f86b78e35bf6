"""Candidates as arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.space.candidate import Candidate, SearchSpace
from search.space.recipe_space import Choice, LogUniform, RecipeValue

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """n candidates.

    Attributes:
        presence: [n, N] 1 where a composition holds a source.
        shares: [n, N] share of a source in the samples; rows sum to 1.
        doublings: [n, N] base-2 logarithm of the number of samples, 0 where absent.
        recipe: [n, R] searched hyper-parameters, each dimension 1 long.
    """

    presence: Floats
    shares: Floats
    doublings: Floats
    recipe: Floats

    def __len__(self) -> int:
        """How many candidates."""
        return len(self.presence)

    def take(self, rows: NDArray[np.intp] | slice) -> Encoded:
        """Some of them, in the given order."""
        return Encoded(
            presence=self.presence[rows],
            shares=self.shares[rows],
            doublings=self.doublings[rows],
            recipe=self.recipe[rows],
        )


def encode(candidates: Sequence[Candidate], space: SearchSpace) -> Encoded:
    """Encode candidates whose sources are all among the space's allowed ones.

    Args:
        candidates: of the space, or with other numbers of samples.
        space: names the sources and the recipe's dimensions.
    """
    place = {source: i for i, source in enumerate(space.composition.allowed)}
    counts = np.zeros((len(candidates), len(place)))
    for row, candidate in enumerate(candidates):
        for source, num_samples in candidate.composition.items():
            counts[row, place[source]] = num_samples
    presence = (counts > 0).astype(np.float64)
    return Encoded(
        presence=presence,
        shares=counts / np.maximum(counts.sum(1, keepdims=True), 1),
        doublings=np.log2(np.maximum(counts, 1)),
        recipe=np.array([_recipe_row(candidate, space) for candidate in candidates]).reshape(len(candidates), -1),
    )


def _recipe_row(candidate: Candidate, space: SearchSpace) -> list[float]:
    row: list[float] = []
    for name, dimension in space.recipe.dimensions.items():
        value = candidate.recipe.get(name)
        if isinstance(dimension, Choice):
            row += _choice_columns(dimension, value)
        elif value is None or isinstance(value, str):
            row.append(0.5)  # a trial of another study, without this dimension
        elif isinstance(dimension, LogUniform):
            row.append(math.log(value / dimension.low) / math.log(dimension.high / dimension.low))
        else:
            row.append((value - dimension.low) / max(dimension.high - dimension.low, 1))
    return row


def _choice_columns(dimension: Choice, value: RecipeValue | None) -> list[float]:
    """Numbers by rank, texts by one column each; two texts are as far apart as the ends of a range."""
    values = list(dimension.values)
    if any(isinstance(known, str) for known in values):
        return [0.5 if known == value else 0.0 for known in values]
    if value is None or isinstance(value, str):
        return [0.5]
    ordered = sorted(float(known) for known in values)
    return [float(np.interp(float(value), ordered, np.linspace(0, 1, len(ordered)))) if len(ordered) > 1 else 0.0]
