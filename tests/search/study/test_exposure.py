"""Held-out means held out: exposure is decided by keys, never by names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.catalog.keys import Key, TaskMap, shared_elements
from search.study.exposure import Exposures
from search.vocabulary import Exposure
from tests.makers.study_fixture import SUBSETS

KEYS = {
    name: Key.model_validate({"modality": m, "area": a, "task": t, "ability": b})
    for name, (m, a, t, b) in SUBSETS.items()
}
IDENTITY = TaskMap(name="identity", version="1")
LESIONS = TaskMap(name="lesions", version="1", tasks={"bleed": "lesion", "tumor": "lesion"})
compositions = st.dictionaries(st.sampled_from(sorted(KEYS)), st.integers(0, 9))


@pytest.mark.parametrize(
    ("composition", "target", "expected"),
    [
        ({}, "mr-lung", Exposure.held_out),
        ({"ct-lung": 5, "mr-brain": 5}, "mr-lung", Exposure.held_out),  # every element was seen, the key was not
        ({"mr-lung": 1}, "mr-lung", Exposure.in_domain),
        ({"mr-lung": 0, "ct-lung": 5}, "mr-lung", Exposure.held_out),  # no row of it
        ({"ct-brain": 1, "ct-lung": 5}, "ct-brain-new", Exposure.in_domain),  # another subset with its key
        ({"mr-brain": 5}, "mr-brain-time", Exposure.held_out),  # the ability belongs to the key
    ],
)
def test_exposure_without_few_shot(composition: dict[str, int], target: str, expected: Exposure) -> None:
    assert Exposures(KEYS, IDENTITY).of(composition, target) is expected


@pytest.mark.parametrize(
    ("composition", "expected"),
    [
        ({"ct-brain": 4, "ct-lung": 9}, Exposure.few_shot),
        ({"ct-brain": 5}, Exposure.in_domain),  # more than was declared
        ({"ct-brain-new": 4}, Exposure.in_domain),  # its key, but not its own rows
        ({"ct-brain": 4, "ct-brain-new": 1}, Exposure.in_domain),
        ({"ct-lung": 9}, Exposure.held_out),
    ],
)
def test_few_shot_is_the_declared_number_of_the_targets_own_rows(
    composition: dict[str, int], expected: Exposure
) -> None:
    exposures = Exposures(KEYS, IDENTITY, {"ct-brain": 4})
    assert exposures.of(composition, "ct-brain") is expected
    assert Exposures(KEYS, IDENTITY).of(composition, "ct-brain") in (Exposure.held_out, Exposure.in_domain)


def test_the_task_map_decides_what_one_key_is() -> None:
    one = {"a": Key(modality="CT", area="brain", task="bleed"), "b": Key(modality="CT", area="brain", task="tumor")}
    assert Exposures(one, IDENTITY).of({"a": 1}, "b") is Exposure.held_out
    assert Exposures(one, LESIONS).of({"a": 1}, "b") is Exposure.in_domain


@given(compositions, st.sampled_from(sorted(KEYS)))
def test_training_on_the_key_is_never_held_out(composition: dict[str, int], target: str) -> None:
    trained = {KEYS[subset] for subset, count in composition.items() if count}
    is_held_out = Exposures(KEYS, IDENTITY, {target: 3}).of(composition, target) is Exposure.held_out
    assert is_held_out == (KEYS[target] not in trained)


@given(st.sets(st.sampled_from(sorted(KEYS))), st.sampled_from(sorted(KEYS)), st.sampled_from([IDENTITY, LESIONS]))
def test_unrelated_subsets_share_nothing(subsets: set[str], target: str, task_map: TaskMap) -> None:
    unrelated = Exposures(KEYS, task_map).unrelated(subsets, target)
    assert unrelated == sorted(unrelated)
    for subset in subsets:
        assert (subset in unrelated) == (shared_elements(KEYS[subset], KEYS[target], task_map) == ())
