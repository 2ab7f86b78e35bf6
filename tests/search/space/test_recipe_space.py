"""The searched dimensions of a recipe."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from search.space.recipe_space import Choice, IntRange, LogUniform, RecipeSpace, Uniform


def test_study_file_spellings() -> None:
    space = RecipeSpace.model_validate(
        {
            "learning_rate": {"kind": "log_uniform", "low": "1e-4", "high": 1e-2},
            "num_steps": [80, 160],
            "lora_rank": 8,
            "schedule": ["cosine", "linear"],
        }
    )
    assert space.dimensions["learning_rate"] == LogUniform(low=1e-4, high=1e-2)
    assert space.dimensions["num_steps"] == Choice(values=(80, 160))
    assert space.dimensions["lora_rank"] == Choice(values=(8,))
    assert [type(v) for v in Choice(values=("5e-3", 8, "x")).values] == [float, int, str]
    assert space.count() is None
    with pytest.raises(ValueError, match="learning_rate is continuous"):
        space.enumerate()


@given(st.integers(0, 2**32))
def test_draws_lie_within_and_repeat_with_the_seed(seed: int) -> None:
    space = RecipeSpace(
        {
            "a": LogUniform(low=1e-5, high=1e-1),
            "b": Uniform(low=-1, high=1),
            "c": IntRange(low=2, high=5),
            "d": Choice(values=("x",)),
        }
    )
    drawn = space.sample(random.Random(seed))
    assert space.violations(drawn) == []
    assert drawn == space.sample(random.Random(seed))
    assert float(f"{drawn['a']:.6g}") == drawn["a"]


def test_log_uniform_spreads_over_decades() -> None:
    rng = random.Random(0)
    drawn = [float(LogUniform(low=1e-4, high=1.0).sample(rng)) for _ in range(4000)]
    shares = [sum(10.0**k <= value < 10.0 ** (k + 1) for value in drawn) / 4000 for k in range(-4, 0)]
    assert all(abs(share - 0.25) < 0.03 for share in shares)


def test_enumeration_is_the_product() -> None:
    space = RecipeSpace({"b": IntRange(low=1, high=3), "a": Choice(values=("x", "y"))})
    listed = list(space.enumerate())
    assert space.count() == len(listed) == 6
    assert listed[0] == {"a": "x", "b": 1}
    assert RecipeSpace().count() == 1


@pytest.mark.parametrize(
    ("dimension", "message"),
    [
        ({"kind": "log_uniform", "low": 0, "high": 1}, "greater than 0"),
        ({"kind": "uniform", "low": 1, "high": 1}, "clearly below"),
        ({"kind": "uniform", "low": 0, "high": float("inf")}, "finite"),
        ({"kind": "int_range", "low": 3, "high": 2}, "must not exceed"),
        ({"kind": "logarithmic", "low": 3, "high": 4}, "log_uniform"),
        ([1, 1], "must differ"),
        ([], "at least 1"),
        ([True], "boolean"),
    ],
)
def test_wrong_dimensions_are_refused(dimension: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RecipeSpace.model_validate({"x": dimension})


def test_violations_name_the_dimension() -> None:
    space = RecipeSpace({"rank": IntRange(low=4, high=8), "rate": Uniform(low=0, high=1)})
    assert space.violations({"rank": 4, "rate": 0.5}) == []
    found = " / ".join(space.violations({"rank": 9, "other": 1}))
    assert "lacks rate" in found
    assert "rank=9 lies outside" in found
    assert "other, which is not searched" in found
