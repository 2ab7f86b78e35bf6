"""What a model says of sizes that no trial had is marked."""

from __future__ import annotations

import pytest

from search.space.composition import Composition
from search.strategies.surrogate.extrapolation import extrapolation


def of(num_subsets: int, samples: int) -> Composition:
    return Composition({f"s{k}": samples for k in range(num_subsets)})


TRIED = [of(1, 100), of(2, 100), of(4, 50)]  # 100 to 200 samples


@pytest.mark.parametrize(
    ("composition", "why"),
    [
        (of(1, 100), None),
        (of(4, 25), None),
        (of(1, 150), None),  # between the totals that were tried
        (of(3, 50), "extrapolation: no trial had 3 subsets"),
        (of(2, 101), "extrapolation: 202 samples are outside the 100 to 200 that were tried"),
        (of(1, 99), "extrapolation: 99 samples are outside the 100 to 200 that were tried"),
        (
            of(5, 100),
            "extrapolation: no trial had 5 subsets, and 500 samples are outside the 100 to 200 that were tried",
        ),
    ],
)
def test_an_untried_number_of_subsets_or_samples_outside_the_range(composition: Composition, why: str | None) -> None:
    assert extrapolation(composition, TRIED) == why


def test_one_subset_is_no_plural() -> None:
    assert extrapolation(of(1, 200), TRIED[1:]) == "extrapolation: no trial had 1 subset"
