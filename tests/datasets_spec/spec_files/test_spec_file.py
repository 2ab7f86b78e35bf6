from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from datasets_spec.errors import Problem, SpecError, UserError
from datasets_spec.spec_files.spec_file import COMMAND_LINE, load_spec, load_spec_text


class Mood(StrEnum):
    calm = "calm"
    wild = "wild"


class Uniform(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    low: float
    high: float


class Choice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    values: tuple[float, ...]


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    learning_rate: float = 1e-3
    num_steps: int = Field(default=80, gt=0)
    country: str = "CH"
    mood: Mood = Mood.calm
    kind: Literal["closed", "open"] = "open"


class Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    recipe: Inner = Inner()
    sizes: tuple[int, ...] = ()
    space: dict[str, Uniform | Choice] = Field(default_factory=dict)


def problems(text: str, *overrides: str) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        load_spec_text(text, "s.yaml", Spec, overrides=overrides)
    return list(caught.value.problems)


def test_every_error_of_a_spec_is_reported_at_once_where_it_stands() -> None:
    text = (
        "name: x\n"  # 1
        "recipe:\n"  # 2
        "  learning_rte: 0.1\n"  # 3
        "  num_steps: 2.5\n"  # 4
        "  country: NO\n"  # 5
        "  mood: wld\n"  # 6
        "  kind: closd\n"  # 7
        "sizes: [1, two, true]\n"  # 8
        "name: y\n"  # 9
    )
    found = {
        (problem.line, problem.column, problem.where, problem.found, problem.nearest) for problem in problems(text)
    }
    assert found == {
        (3, 3, "recipe.learning_rte", "learning_rte", "learning_rate"),
        (4, 14, "recipe.num_steps", "2.5", None),
        (5, 12, "recipe.country", "NO", None),
        (6, 9, "recipe.mood", "wld", "wild"),
        (7, 9, "recipe.kind", "closd", "closed"),
        (8, 12, "sizes.1", "two", None),
        (8, 17, "sizes.2", "true", None),
        (9, 1, "name", "name", None),
    }


def test_a_country_called_no_is_explained() -> None:
    (problem,) = problems("name: x\nrecipe: {country: NO}\n")
    assert problem.message == 'YAML reads NO as false; write it in quotes: "NO"'


@pytest.mark.parametrize("text", ["1e-4", "0.0001", "1.0E-4", "+1e-4", "100e-6"])
def test_numbers_are_read_as_people_write_them(text: str) -> None:
    spec = load_spec_text(f"name: x\nrecipe: {{learning_rate: {text}}}", "s.yaml", Spec)
    assert spec.recipe.learning_rate == pytest.approx(1e-4)


@pytest.mark.parametrize("text", [".nan", ".inf", "-.INF", "1e999"])
def test_numbers_that_are_not_finite_are_refused(text: str) -> None:
    (problem,) = problems(f"name: x\nrecipe:\n  learning_rate: {text}\n")
    assert (problem.line, problem.column, problem.message) == (3, 18, "must be a finite number")


@pytest.mark.parametrize("text", ["'5'", "true", "five", "5.0", "[5]"])
def test_nothing_but_an_integer_is_an_integer(text: str) -> None:
    (problem,) = problems(f"name: x\nrecipe: {{num_steps: {text}}}")
    assert problem.where == "recipe.num_steps"
    assert problem.message == "must be a whole number"


def test_a_value_out_of_range_says_the_range() -> None:
    (problem,) = problems("name: x\nrecipe: {num_steps: -3}")
    assert "greater than 0" in problem.message
    assert problem.found == "-3"


def test_a_missing_key_is_reported_at_its_mapping() -> None:
    (problem,) = problems("\n\nrecipe: {num_steps: 3}\n")
    assert (problem.line, problem.where, problem.message) == (3, "name", "this key is required and missing")


def test_a_union_reports_only_the_member_that_was_meant() -> None:
    (problem,) = problems("name: x\nspace:\n  rate: {low: 1e-5, hihg: 1e-3, high: 1}\n")
    assert (problem.line, problem.column, problem.where) == (3, 21, "space.rate.hihg")
    assert problem.nearest == "high"


def test_overrides_apply_before_validation() -> None:
    overrides = ("recipe.learning_rate=1e-4", "recipe.mood=wild", "sizes=[1, 2]", "space.r.values=[1]")
    spec = load_spec_text("name: x\nrecipe: {learning_rate: bad}", "s.yaml", Spec, overrides=overrides)
    assert spec.recipe.learning_rate == pytest.approx(1e-4)
    assert spec.recipe.mood is Mood.wild
    assert spec.sizes == (1, 2)
    assert spec.space == {"r": Choice(values=(1.0,))}


def test_errors_of_overrides_name_the_command_line() -> None:
    found = problems("name: x\n", "recipe.num_step=3", "no-equals", "recipe.mood=NaN", "name.deeper=1")
    assert [(problem.file, problem.line) for problem in found] == [
        (COMMAND_LINE, 1),
        (COMMAND_LINE, 2),
        (COMMAND_LINE, 3),
        (COMMAND_LINE, 4),
    ]
    assert found[0].nearest == "num_steps"


def test_an_override_finds_keys_that_contain_dots() -> None:
    text = "name: x\nspace: {a.b: {low: 1, high: 2}}"
    spec = load_spec_text(text, "s.yaml", Spec, overrides=("space.a.b.high=9",))
    assert spec.space["a.b"] == Uniform(low=1, high=9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("- a\n", "must be a mapping of keys"),
        ("name: [a\n", "not valid YAML"),
        ("name: x\n\tsizes: [1]\n", "not valid YAML"),
        ("name: a\x00b\n", "character U+0000 is not allowed"),
        ("name: &a [*a]\n", "contains itself"),
        ("name: " + "[" * 100_000, "nested deeper"),
        ("name: " + "{a: " * 50_000, "nested deeper"),
        ("name: !!python/object/apply:os.system [echo]\n", "tags (!name) are not supported"),
        ("name: !secret x\n", "tags (!name) are not supported"),
        ("name: x\n<<: {sizes: [1]}\n", "merging with <<"),
        ("name: x\nsizes: [" + "9" * 5000 + "]\n", "integer out of range"),
        ('name: "\\ud800"\n', "half a surrogate"),
        ("name: x\n? [1, 2]\n: y\n", "a key must be a plain name"),
        ("name: " + "x" * 1_000_001, "larger than 1,000,000 bytes"),
    ],
)
def test_hostile_documents_are_refused_with_a_reason(text: str, message: str) -> None:
    assert any(message in problem.message for problem in problems(text))


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 9)]
    assert any("values" in problem.message for problem in problems("\n".join(lines)))
    assert any("aliases" in problem.message for problem in problems("a: &a 1\nb: [" + "*a, " * 300 + "]"))


def test_files_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes("name: x\n".encode("utf-16"))
    with pytest.raises(SpecError, match="not UTF-8"):
        load_spec(path, Spec)
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert load_spec(path, Spec).name == "x"


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("name: x")
    with pytest.raises(UserError, match=r"Did you mean '.*study.yaml'"):
        load_spec(tmp_path / "stduy.yaml", Spec)
    with pytest.raises(UserError, match="cannot read"):
        load_spec(tmp_path, Spec)


def loads_or_explains(document: str, override: str) -> bool:
    try:
        load_spec_text(document, "s.yaml", Spec, overrides=(override,))
    except SpecError as error:
        return all(problem.line >= 1 and problem.column >= 1 for problem in error.problems)
    return True


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80), st.text(max_size=30))
def test_any_text_is_a_spec_or_a_spec_error(text: str, override: str) -> None:
    for document in (text, f"name: {text}", f"name: x\nrecipe: {{{text}}}"):
        assert loads_or_explains(document, override)
