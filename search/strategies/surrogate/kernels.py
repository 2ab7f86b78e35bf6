"""How alike two compositions are, and two targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.catalog.keys import Key, TaskMap
from search.strategies.surrogate.encoding import Encoded

Floats = NDArray[np.float64]
# Twice the samples of every source is as far as two compositions with a quarter of their overlap missing; a whole
# range of a hyper-parameter four times as far. Choices, not measurements: the length is fitted, these fix proportions.
DISTANCE_OF_DOUBLING: Final = 0.5
DISTANCE_OF_RECIPE: Final = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CompositionKernel:
    """Hyper-parameters of the kernel over compositions.

    With c the cosine of two compositions' square-root shares (the Bhattacharyya coefficient of what they train on),

        k = linear * c + (1 - linear) * exp(-(2 - 2 c + other differences) / length)

    The first part adds up what sources are worth; the second, in the Hellinger distance, is what they are worth
    together. Linear shares with a Hamming distance explain the digits tables less well (docs/decisions.md).

    Attributes:
        length: squared Hellinger distance at which the second part falls to 1/e.
        linear: weight of the first part, 0 to 1.
    """

    length: float
    linear: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """Two sets of candidates compared, whatever the hyper-parameters; [n, m] each.

    Attributes:
        overlap: cosine of square-root shares.
        apart: difference in samples of a source and in the recipe.
    """

    overlap: Floats
    apart: Floats


def compare(a: Encoded, b: Encoded) -> Likeness:
    """Compare n candidates with m."""
    apart = DISTANCE_OF_DOUBLING * np.abs(_mean_doublings(a)[:, None] - _mean_doublings(b)[None, :])
    for j in range(a.recipe.shape[1]):
        apart += DISTANCE_OF_RECIPE * np.abs(a.recipe[:, j][:, None] - b.recipe[:, j][None, :])
    return Likeness(overlap=np.sqrt(a.shares) @ np.sqrt(b.shares).T, apart=apart)


def _mean_doublings(a: Encoded) -> Floats:
    mean: Floats = a.doublings.sum(1) / np.maximum(a.presence.sum(1), 1)
    return mean


def composition_kernel(like: Likeness, kernel: CompositionKernel) -> Floats:
    """Covariance of compositions, [n, m]."""
    near = np.exp(-like.apart / kernel.length)
    together = np.exp((2 * like.overlap - 2) / kernel.length)
    covariance: Floats = near * (kernel.linear * like.overlap + (1 - kernel.linear) * together)
    return covariance


def likeness(keys: Sequence[Key], task_map: TaskMap) -> Floats:
    """Share of elements in which keys agree, [n, n]; ability is an element where any key has one.

    A sum of equalities, hence positive semi-definite.
    """
    agree = element_matches(keys, keys, task_map)
    if not keys:
        return np.zeros((0, 0))
    mean: Floats = np.mean(agree, axis=0)
    return mean


def element_matches(a: Sequence[Key], b: Sequence[Key], task_map: TaskMap) -> Floats:
    """1 where two keys agree in an element, [elements, n, m]."""
    one, two = [task_map.canonical(key) for key in a], [task_map.canonical(key) for key in b]
    elements = ["modality", "area", "task"]
    if any(key.ability != "none" for key in (*one, *two)):
        elements.append("ability")
    return np.array([[[float(getattr(x, e) == getattr(y, e)) for y in two] for x in one] for e in elements])
