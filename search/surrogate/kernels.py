"""How alike two compositions are, and two targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.mat import Key, TaskMap
from search.surrogate.encoding import Encoded

Floats = NDArray[np.float64]
# Twice the samples of a source is half as far as leaving the source out; a whole range of a hyper-parameter is as
# far as two sources. Choices, not measurements: the length scale is fitted, these fix only the proportions.
DISTANCE_OF_DOUBLING: Final = 0.5
DISTANCE_OF_RECIPE: Final = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CompositionKernel:
    """Hyper-parameters of the kernel over compositions.

    Attributes:
        length: Hamming distance at which the interaction part falls to 1/e.
        linear: weight of the part that is linear in the shares, 0 to 1.
        keys: how far the linear effects of two sources go together when their keys agree, 0 to 1.
    """

    length: float
    linear: float
    keys: float


def composition_distance(a: Encoded, b: Encoded) -> Floats:
    """Number of sources in which two candidates differ, plus graded differences in samples and recipe: [n, m]."""
    distance: Floats = a.presence.sum(1)[:, None] + b.presence.sum(1)[None, :] - 2 * (a.presence @ b.presence.T)
    for i in _graded_sources(a, b):
        both = a.presence[:, i][:, None] * b.presence[:, i][None, :]
        distance += DISTANCE_OF_DOUBLING * both * np.abs(a.doublings[:, i][:, None] - b.doublings[:, i][None, :])
    for j in range(a.recipe.shape[1]):
        distance += DISTANCE_OF_RECIPE * np.abs(a.recipe[:, j][:, None] - b.recipe[:, j][None, :])
    return distance


def _graded_sources(a: Encoded, b: Encoded) -> list[int]:
    """The sources that come in more than one number of samples."""
    most = np.maximum(a.doublings.max(0), b.doublings.max(0))
    differs = (a.presence * (a.doublings != most)).any(0) | (b.presence * (b.doublings != most)).any(0)
    return [int(i) for i in np.flatnonzero(differs)]


def composition_kernel(
    a: Encoded, b: Encoded, distance: Floats, source_likeness: Floats, kernel: CompositionKernel
) -> Floats:
    """Covariance of compositions, [n, m].

    Args:
        a: n candidates.
        b: m candidates.
        distance: of `a` and `b`, see `composition_distance`.
        source_likeness: [N, N] see `likeness` of the sources' keys.
        kernel: its hyper-parameters.
    """
    covariance: Floats = (1 - kernel.linear) * np.exp(-distance / kernel.length)
    if kernel.linear:
        together = (1 - kernel.keys) * np.eye(len(source_likeness)) + kernel.keys * source_likeness
        shared = a.shares @ together @ b.shares.T
        if a.recipe.shape[1]:
            recipe = np.abs(a.recipe[:, None, :] - b.recipe[None, :, :]).sum(2)
            shared = shared * np.exp(-DISTANCE_OF_RECIPE * recipe / kernel.length)
        covariance += kernel.linear * a.shares.shape[1] * shared
    return covariance


def own_variance(a: Encoded, source_likeness: Floats, kernel: CompositionKernel) -> Floats:
    """The diagonal of `composition_kernel(a, a)`, [n]."""
    together = (1 - kernel.keys) * np.eye(len(source_likeness)) + kernel.keys * source_likeness
    linear = np.einsum("ni,ij,nj->n", a.shares, together, a.shares)
    variance: Floats = (1 - kernel.linear) + kernel.linear * a.shares.shape[1] * linear
    return variance


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
