"""Which predictions are extrapolation: all of a size that was never tried share one error, which no interval shows.

After single sources and everything together the model has seen the ends of the range and nothing between; so a number
of subsets counts as tried only where a trial had it. Numbers of samples are many, and there the range is what counts.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from search.space.composition import Composition

MARK: Final = "extrapolation"


def extrapolation(composition: Composition, tried: Collection[Composition]) -> str | None:
    """Why a prediction for a composition is extrapolation, in the words that users read; None where it is not.

    Args:
        composition: what is predicted.
        tried: the compositions of the trials that the model has learned from.
    """
    untried = untried_number(len(composition), {len(one) for one in tried})
    found = [] if untried is None else [untried]
    totals = {one.total for one in tried}
    if totals and not min(totals) <= composition.total <= max(totals):
        found.append(f"{composition.total} samples are outside the {min(totals)} to {max(totals)} that were tried")
    return f"{MARK}: {', and '.join(found)}" if found else None


def extrapolated_number(nums_subsets: Collection[int], tried: Collection[int]) -> str | None:
    """The same where only numbers of subsets are known, of compositions that are compared."""
    found = [untried for num in nums_subsets if (untried := untried_number(num, tried)) is not None]
    return f"{MARK}: {', and '.join(found)}" if found else None


def untried_number(num_subsets: int, tried: Collection[int]) -> str | None:
    """That no trial had this number of subsets; None where one had."""
    return None if num_subsets in tried else f"no trial had {num_subsets} subset{'s' * (num_subsets != 1)}"
