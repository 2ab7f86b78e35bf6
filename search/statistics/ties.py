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
# matrices conditioned so that kernels differed by 4e-12 at most (measured). A real difference of a billionth of an
# accuracy would take a billion questions to show.
ROUNDING: Final = 1e-9


def ranks(values: Sequence[float] | Floats, *, tolerance: float | None = None) -> NDArray[np.intp]:
    """Rank of every value, [n], 0 for the largest; values share one that equal the largest of it but for rounding.

    Args:
        values: [n].
        tolerance: what rounding may do to them; by default `ROUNDING` of the largest magnitude, which is too little
            for differences of larger numbers.
    """
    array = np.asarray(values, dtype=np.float64)
    found = np.zeros(len(array), dtype=np.intp)
    order = np.argsort(-array, kind="stable")
    if tolerance is None:
        tolerance = _usual_tolerance(array)
    rank, largest = -1, np.nan
    for place, value in zip(order.tolist(), array[order].tolist(), strict=True):
        if rank < 0 or value < largest - tolerance:
            rank, largest = rank + 1, value
        found[place] = rank
    return found


def descending(values: Sequence[float] | Floats, *, tolerance: float | None = None) -> list[int]:
    """Places of the values, the largest first; equal ones (see `ranks`) keep their order."""
    order: list[int] = np.argsort(ranks(values, tolerance=tolerance), kind="stable").tolist()
    return order


def index_of_largest(values: Sequence[float] | Floats, *, tolerance: float | None = None) -> int:
    """The first place whose value is the largest but for rounding, see `ranks`.

    Raises:
        ValueError: there are no values.
    """
    array = np.asarray(values, dtype=np.float64)
    return int(np.argmax(array >= array.max() - (_usual_tolerance(array) if tolerance is None else tolerance)))


def is_rounding(difference: float, *, scale: float) -> bool:
    """Whether a difference of numbers of the size `scale` is nothing but their rounding."""
    return abs(difference) <= ROUNDING * scale


def _usual_tolerance(array: Floats) -> float:
    return ROUNDING * float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
