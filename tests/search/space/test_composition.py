"""Compositions, their constraints, counts, draws and identities."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from datasets_spec.errors import UserError
from search.space.composition import Composition, share_out


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 10**9)))
def test_json_round_trip_and_identity_of_content(counts: dict[str, int]) -> None:
    composition = Composition(counts)
    again = Composition.from_json(json.dumps(composition.as_dict()))
    assert again == composition
    assert again.identity == composition.identity
    turned = Composition(dict(reversed(counts.items())))
    assert turned.identity == composition.identity
    assert pickle.loads(pickle.dumps(composition)) == composition


@pytest.mark.parametrize("counts", [{"a": -1}, {"a": 1.5}, {"a": True}, {"": 3}])
def test_wrong_counts_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(UserError):
        Composition(counts)


def test_text_of_a_composition() -> None:
    assert str(Composition({"b": 120, "a": 240, "c": 0})) == "a:240+b:120"
    assert str(Composition({})) == "(no samples)"


def test_a_spec_may_hold_a_composition() -> None:
    class Mix(BaseModel):
        composition: Composition

    mix = Mix.model_validate({"composition": {"b": 2, "a": 1}})
    assert mix.composition == Composition({"a": 1, "b": 2})
    assert mix.model_dump_json() == '{"composition":{"a":1,"b":2}}'
    with pytest.raises(ValidationError, match="at least 0"):
        Mix.model_validate({"composition": {"b": -2}})


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 12), min_size=1), st.integers(0, 60))
def test_samples_are_shared_out_as_evenly_as_rows_allow(rows: dict[str, int], num_samples: int) -> None:
    shared = share_out(rows, num_samples)
    assert shared.total == min(num_samples, sum(rows.values()))
    counts = {subset: shared.get(subset, 0) for subset in rows}
    assert all(counts[s] <= rows[s] for s in rows)
    not_exhausted = [counts[s] for s in rows if counts[s] < rows[s]]
    if not_exhausted:  # nobody has more than one sample above a subset that could have given more
        assert max(counts.values()) - min(not_exhausted) <= 1
    assert share_out(dict(reversed(rows.items())), num_samples) == shared


def test_the_samples_that_a_small_subset_lacks_are_shared_too() -> None:
    assert share_out({"a": 10, "b": 1, "c": 10}, 12).as_dict() == pytest.approx({"a": 6, "b": 1, "c": 5}, abs=1)
