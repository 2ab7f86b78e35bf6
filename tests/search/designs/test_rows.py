"""Rows of every design, enumerated from catalogs: who shares what with whom, and equal amounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.catalog.keys import Key, TaskMap, load_task_map
from datasets_spec.phantom.world import AREAS, MODALITIES, TASKS
from search.designs.kinds.abilities import ability_rows
from search.designs.kinds.controlled import controlled_rows, pairs_of, three_source_rows
from search.designs.kinds.disruption import disruption_rows
from search.designs.kinds.few_shot import data_efficiency_rows, few_shot_rows
from search.designs.kinds.observation import observation_rows
from search.designs.kinds.zero_overlap import zero_overlap_rows
from search.designs.registry import build_rows
from search.designs.rows import SubsetPool
from search.study.sections.design import DIRECTIONS, DesignSection, Direction
from tests.makers.study_fixture import open_study

PHANTOM = {f"{m}-{a}-{t}": Key(modality=m, area=a, task=t) for m in MODALITIES for a in AREAS for t in TASKS}
TARGET = "xray-lung-staging"


def phantom_pool(**change: object) -> SubsetPool:
    fields = {
        "keys": PHANTOM,
        "rows": dict.fromkeys(PHANTOM, 240),
        "sources": tuple(PHANTOM),
        "controls": (),
        "task_map": load_task_map("identity"),
    }
    return SubsetPool(**(fields | change))  # type: ignore[arg-type]


def med_mat_pool(task_map: str) -> SubsetPool:
    catalog = load_catalog("med_mat")
    names = [subset.name for subset in catalog.spec.subsets[:37]]
    return SubsetPool(
        keys={name: catalog.subset(name).key for name in names},
        rows=dict.fromkeys(names, 3000),
        sources=tuple(names),
        controls=(),
        task_map=load_task_map(task_map),
    )


def section(**change: object) -> DesignSection:
    return DesignSection.model_validate({"kind": "controlled", "max_rows": 1000} | change)


@pytest.mark.parametrize(
    ("direction", "shares"),
    [
        ("fixed_modality", ({"modality", "area"}, {"modality", "task"})),
        ("fixed_area", ({"modality", "area"}, {"area", "task"})),
        ("fixed_task", ({"modality", "task"}, {"area", "task"})),
    ],
)
def test_pairs_supply_the_target_between_them(direction: Direction, shares: tuple[set[str], set[str]]) -> None:
    pool = phantom_pool()
    pairs = list(pairs_of(pool, TARGET, direction))
    one, two = {"modality": 6, "area": 6, "task": 4}, []
    for first, second in pairs:
        assert set(pool.shared(first, TARGET)) == shares[0]
        assert set(pool.shared(second, TARGET)) == shares[1]
        assert set(pool.shared(first, TARGET)) | set(pool.shared(second, TARGET)) == {"modality", "area", "task"}
        two.append((first, second))
    free = [({"modality", "area", "task"} - share).pop() for share in shares]
    assert len(pairs) == (one[free[0]] - 1) * (one[free[1]] - 1)
    assert len(set(two)) == len(two)


def test_the_pair_direction_needs_pairs_on_both_sides() -> None:
    assert not list(pairs_of(phantom_pool(), TARGET, "modality_area_pair"))
    pairs = TaskMap(name="pairs", version="1", modality_area_pairs=(("xray", "lung"), ("ct", "brain")))
    found = list(pairs_of(phantom_pool(task_map=pairs), TARGET, "modality_area_pair"))
    assert {second for _, second in found} == {"ct-brain-staging"}
    assert {first for first, _ in found} == {f"xray-lung-{t}" for t in TASKS if t != "staging"}


def test_rows_of_the_published_catalog_meet_published_figures() -> None:
    pool = med_mat_pool("med_mat_coarse")
    rows = controlled_rows(pool, pool.sources, section(), num_samples=3000, seed=0)
    assert {row.group for row in rows} == set(DIRECTIONS)
    area = {(row.target, row.sources): row.published for row in rows if row.group == "fixed_area"}
    assert area["03-ct-lung", ("04-ct-lung", "28-x-ray-lung")] == {"baseline": 47, "control": 46, "related": 72}
    assert sum(bool(row.published) for row in rows) == 44
    broad = med_mat_pool("med_mat_broad")
    other = controlled_rows(broad, broad.sources, section(), num_samples=3000, seed=0)
    assert Counter(row.group for row in other if row.published)["fixed_task"] == 12
    three = three_source_rows(pool, pool.sources, section(), num_samples=3000, seed=0)
    assert next(r for r in three if r.published and r.target == "06-ct-brain").published["related"] in (25, 26)


def test_the_arms_of_a_row_have_the_same_number_of_samples() -> None:
    pool = phantom_pool()
    rows = controlled_rows(pool, [TARGET], section(), num_samples=100, seed=0)
    rows += three_source_rows(pool, [TARGET], section(max_rows=5), num_samples=100, seed=0)
    rows += disruption_rows(pool, [TARGET], budget=600) + zero_overlap_rows(pool, [TARGET], budget=600)
    for row in rows:
        assert len({arm.composition.total for arm in row.arms if arm.composition}) == 1, row.name
        for arm in row.arms:
            assert TARGET not in arm.composition
            if arm.name in ("control", "unrelated", "zero_overlap"):
                assert not any(pool.shared(subset, TARGET) for subset in arm.composition)


def test_rows_are_drawn_by_the_seed_and_bounded() -> None:
    pool = phantom_pool()

    def names(seed: int, most: int = 3) -> Sequence[str]:
        return [r.name for r in controlled_rows(pool, [TARGET], section(max_rows=most), num_samples=9, seed=seed)]

    assert names(1) == names(1) != names(2)
    assert len(names(1)) == 3 * 3


def test_each_element_that_is_left_out_is_gone() -> None:
    pool = phantom_pool()
    (row,) = disruption_rows(pool, [TARGET], budget=600)
    for element in ("modality", "area", "task"):
        subsets = row.arm(f"without_{element}").composition
        assert not any(element in pool.shared(subset, TARGET) for subset in subsets)
        assert all(pool.shared(subset, TARGET) for subset in subsets)
    assert set(row.arm("all").composition) == set(PHANTOM) - {TARGET}
    (med,) = disruption_rows(med_mat_pool("med_mat_coarse"), ["28-x-ray-lung"], budget=15000)
    assert med.published["related"] == 46


def test_an_arm_is_not_compared_with_itself(tmp_path: Path) -> None:
    study = open_study(tmp_path, {"design": {"kind": "disruption"}})
    rows = dict.fromkeys(study.catalog.names, 12)
    (row,) = build_rows(study, rows)  # ct-brain shares nothing with mr-lung, so `all` is more than `related`
    assert ("all", "related") in row.contrasts
    sources = {"space.composition.sources": ["ct-lung", "mr-brain"]}
    (row,) = build_rows(open_study(tmp_path, {"design": {"kind": "disruption"}, **sources}), rows)
    assert row.arm("all").composition == row.arm("related").composition
    assert ("all", "related") not in row.contrasts


def test_one_and_two_shared_elements_are_told_apart() -> None:
    pool = phantom_pool()
    (row,) = zero_overlap_rows(pool, [TARGET], budget=600)
    assert {len(pool.shared(s, TARGET)) for s in row.arm("one_element").composition} == {1}
    assert {len(pool.shared(s, TARGET)) for s in row.arm("two_elements").composition} == {2}


def test_the_single_task_is_run_at_equal_epochs_and_at_equal_steps() -> None:
    sources = (TARGET, "ct-lung-grading", "mri-bone-histology", "oct-bone-staging")
    pool = phantom_pool(sources=sources)
    inside, outside = observation_rows(pool, [TARGET, "ct-brain-grading"], num_samples=100, num_steps=80)
    assert inside.arm("single").num_steps == 20  # a quarter of the samples, so a quarter of the steps
    assert inside.arm("single_same_steps").num_steps is None
    assert inside.contrasts[0] == ("multi", "single")
    assert [arm.name for arm in outside.arms] == ["baseline", "multi"]


def test_shots_are_the_targets_own_rows_beside_the_same_companions() -> None:
    pool = phantom_pool()
    rows = data_efficiency_rows(pool, [TARGET], sizes=(60, 120), shots=(8,))
    assert [row.arm("related").composition.total for row in rows] == [60, 120, 128]
    assert rows[2].arm("related").composition[TARGET] == 8
    assert dict(rows[2].arm("target_only").composition) == {TARGET: 8}
    shots = few_shot_rows(pool, [TARGET], num_samples=60, shots=(4,))
    assert [row.group for row in shots] == [f"60 companion samples, {k} of the target" for k in (0, 4)]


def test_abilities_are_taught_by_single_images_by_others_and_held_in() -> None:
    keys = {
        "single": Key(modality="ct", area="lung", task="grading"),
        "other": Key(modality="ct", area="lung", task="grading", ability="comparison"),
        "same": Key(modality="mri", area="brain", task="grading", ability="temporal"),
        "target": Key(modality="ct", area="lung", task="grading", ability="temporal"),
    }
    pool = phantom_pool(keys=keys, rows=dict.fromkeys(keys, 50), sources=("single", "other", "same"))
    (row,) = ability_rows(pool, ["target"], budget=40)
    compositions = {arm.name: set(arm.composition) for arm in row.arms}
    assert compositions["single_images"] == {"single"}
    assert compositions["other_abilities"] == {"other"}
    assert compositions["same_ability"] == {"same"}
    assert "held_in" not in compositions
    with_own = phantom_pool(keys=keys, rows=dict.fromkeys(keys, 50), sources=tuple(keys))
    (row,) = ability_rows(with_own, ["target"], budget=40)
    assert "target" in row.arm("held_in").composition
