from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.canonical import canonical_json, content_hash, short_hash

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    turned = dict(reversed(list(value.items())))
    assert content_hash(value) == content_hash(turned)


@given(VALUES, VALUES)
def test_different_values_have_different_texts(a: Any, b: Any) -> None:
    if canonical_json(a) == canonical_json(b):
        assert json.loads(canonical_json(a)) == json.loads(canonical_json(b))


def test_known_text_and_hash_stay_what_they_are() -> None:
    value = {"b": [1, 2.5, None], "a": "ü"}
    assert canonical_json(value) == '{"a":"ü","b":[1,2.5,null]}'
    assert content_hash(value) == "91ff63a7ddb19a1b9c7a2e722d40ba9baba03223f291c89743abfd71bb743cb5"
    assert len(content_hash(value)) == 64
    assert short_hash(content_hash(value)) == content_hash(value)[:12]


@pytest.mark.parametrize("value", [float("nan"), {"a": float("inf")}, [float("-inf")]])
def test_what_is_not_finite_has_no_hash(value: Any) -> None:
    with pytest.raises(ValueError):
        content_hash(value)


def test_a_number_as_key_is_refused_because_it_would_equal_its_text() -> None:
    with pytest.raises(TypeError, match="string keys"):
        content_hash({"a": [{1: "x"}]})
