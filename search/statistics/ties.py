"""Which number is the largest, and in which order they come, where what differs by rounding counts as equal.

Sums and matrix products round as the processor's kernels add up: values that are equal on paper differ in their last
digits, one way on one machine and another way on the next. Where such values decide something, their place decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Share of the values' size. Doubles carry 1e-16; the models keep a noise of a twentieth at least, which leaves their
# matrices conditioned so that kernels differed by less than 1e-12 in measurements. A real difference of a billionth
# of an accuracy would take a billion questions to show.
ROUNDING: Final = 1e-9


def ranks(values: Sequence[float] | Floats, *, scale: float = 0.0) -> NDArray[np.intp]:
    """Rank of every value, [n], 0 for the largest; values share one that equal the largest of it but for rounding.

    Args:
        values: [n].
        scale: size of the numbers that the values are differences of; their rounding is measured by it where it is
            larger than the values themselves.
    """
    array = np.asarray(values, dtype=np.float64)
    found = np.zeros(len(array), dtype=np.intp)
    order = np.argsort(-array, kind="stable")
    tolerance = _tolerance(array, scale)
    rank, largest = -1, np.nan
    for place, value in zip(order.tolist(), array[order].tolist(), strict=True):
        if rank < 0 or value < largest - tolerance:
            rank, largest = rank + 1, value
        found[place] = rank
    return found


def descending(values: Sequence[float] | Floats, *, scale: float = 0.0) -> list[int]:
    """Places of the values, the largest first; equal ones (see `ranks`) keep their order."""
    order: list[int] = np.argsort(ranks(values, scale=scale), kind="stable").tolist()
    return order


def index_of_largest(values: Sequence[float] | Floats, *, scale: float = 0.0) -> int:
    """The first place whose value is the largest but for rounding, see `ranks`.

    Raises:
        ValueError: there are no values.
    """
    array = np.asarray(values, dtype=np.float64)
    return int(np.argmax(array >= array.max() - _tolerance(array, scale)))


def is_rounding(difference: float, *, scale: float) -> bool:
    """Whether a difference of numbers of the size `scale` is nothing but their rounding."""
    return abs(difference) <= ROUNDING * scale


def _tolerance(array: Floats, scale: float) -> float:
    return ROUNDING * max(scale, float(np.abs(array[np.isfinite(array)]).max(initial=0.0)))
