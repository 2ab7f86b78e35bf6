from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from datasets_spec.catalog.keys import (
    ABILITIES,
    ELEMENTS,
    Key,
    TaskMap,
    is_related,
    load_task_map,
    same_key,
    shared_elements,
)
from datasets_spec.errors import SpecError, UserError

STRICT = load_task_map("med_mat_strict")
IDENTITY = load_task_map("identity")
COARSE = TaskMap(
    name="coarse",
    version="1",
    spelling={"modality": {"X-Ray": "X-ray", "Ultrasound": "US"}, "area": {"Teeth": "Mouth"}},
    tasks={"COVID-19 Classification": "State", "Lung Cancer Classification": "State"},
    modality_area_pairs=(("DP", "Mouth"),),
)
MAPS = st.sampled_from([STRICT, IDENTITY, COARSE])
KEYS = st.builds(
    Key,
    modality=st.sampled_from(["CT", "X-Ray", "X-ray", "x-ray", "US", "Ultrasound", "DP"]),
    area=st.sampled_from(["Lung", "Mouth", "Teeth", "Skin"]),
    task=st.sampled_from(["COVID-19 Classification", "Lung Cancer Classification", "State", "Quality"]),
    ability=st.sampled_from(ABILITIES),
)


@given(KEYS, KEYS, MAPS)
def test_sharing_is_symmetric(a: Key, b: Key, task_map: TaskMap) -> None:
    assert shared_elements(a, b, task_map) == shared_elements(b, a, task_map)
    assert is_related(a, b, task_map) == is_related(b, a, task_map)
    assert same_key(a, b, task_map) == same_key(b, a, task_map)


@given(KEYS, MAPS)
def test_a_canonical_key_is_its_own_canonical_key(key: Key, task_map: TaskMap) -> None:
    canonical = task_map.canonical(key)
    assert task_map.canonical(canonical) == canonical
    assert same_key(key, canonical, task_map)
    assert same_key(key, key, task_map)


@given(KEYS, KEYS, MAPS)
def test_shared_elements_are_ordered_and_say_whether_keys_are_related(a: Key, b: Key, task_map: TaskMap) -> None:
    shared = shared_elements(a, b, task_map)
    order = ["modality_area", *ELEMENTS]
    assert list(shared) == sorted(set(shared), key=order.index)
    assert is_related(a, b, task_map) == bool(shared)
    assert not ("modality_area" in shared and {"modality", "area"} & set(shared))


@given(KEYS, KEYS, KEYS, MAPS)
def test_same_key_is_transitive_and_same_keys_share_the_same(a: Key, b: Key, c: Key, task_map: TaskMap) -> None:
    if same_key(a, b, task_map):
        assert same_key(a, c, task_map) == same_key(b, c, task_map)
        assert shared_elements(a, c, task_map) == shared_elements(b, c, task_map)


def key(modality: str, area: str, task: str, ability: str = "none") -> Key:
    return Key.model_validate({"modality": modality, "area": area, "task": task, "ability": ability})


def test_an_ability_counts_only_when_both_have_the_same_one() -> None:
    single, temporal = key("CT", "Lung", "a"), key("MRI", "Brain", "b", "temporal")
    assert shared_elements(single, key("MRI", "Brain", "b"), IDENTITY) == ()
    assert shared_elements(temporal, key("US", "Skin", "c", "temporal"), IDENTITY) == ("ability",)
    assert shared_elements(temporal, key("US", "Skin", "c", "reasoning"), IDENTITY) == ()


def test_a_listed_pair_counts_once_and_only_when_both_carry_it() -> None:
    one, two = key("DP", "Teeth", "a"), key("DP", "Mouth", "b")
    assert shared_elements(one, two, STRICT) == ("modality_area",)
    assert shared_elements(one, two, IDENTITY) == ("modality",)
    assert shared_elements(one, key("DP", "Skin", "b"), STRICT) == ("modality",)


def test_the_task_map_decides_what_the_same_task_is() -> None:
    covid, cancer = key("CT", "Lung", "COVID-19 Classification"), key("CT", "Lung", "Lung Cancer Classification")
    assert shared_elements(covid, cancer, STRICT) == ("modality", "area")
    assert shared_elements(covid, cancer, COARSE) == ("modality", "area", "task")
    assert same_key(covid, cancer, COARSE)
    assert not same_key(covid, cancer, STRICT)


def test_published_spellings_are_one_modality() -> None:
    assert shared_elements(key("X-Ray", "Lung", "a"), key("X-ray", "Bones", "b"), STRICT) == ("modality",)
    assert shared_elements(key("US", "Breast", "a"), key("Ultrasound", "Chest", "b"), STRICT) == ("modality",)


def test_keys_are_tidied_and_closed() -> None:
    assert key(" CT ", "Left  Lung", "a").area == "Left Lung"
    assert str(key("CT", "Lung", "a", "temporal")) == "CT/Lung/a/temporal"
    with pytest.raises(ValidationError):
        key("CT", "Lung", "a", "guessing")
    with pytest.raises(ValidationError):
        key("CT", "  ", "a")


@pytest.mark.parametrize(
    "text",
    [
        "tasks: {a: b, b: c}",
        "spelling: {modality: {x: y, y: z}}",
        "spelling: {modality: {x: y, X: z}}",
        "spelling: {area: {Teeth: Mouth}}\nmodality_area_pairs: [[DP, Teeth]]",
        "spelling: {task: {A: a1}}\ntasks: {A: b}",
        "spelling: {ability: {x: y}}",
    ],
)
def test_task_maps_that_depend_on_how_often_they_are_applied_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(f"name: m\nversion: '1'\n{text}\n")
    with pytest.raises(SpecError):
        load_task_map(path)


def test_an_unknown_map_names_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'med_mat_strict'"):
        load_task_map("med_mat_strickt")
