"""Rows that trials may read: never fewer than one takes, and no more than that."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from search.space.composition import share_out
from search.study.needed_rows import needed_rows
from search.study.spec import StudySpec
from tests.makers.study_fixture import changed

NUM_ROWS = {"train": 12, "search": 4, "confirm": 4, "sealed": 4}


def needed(changes: dict[str, Any], arms: Any = ()) -> dict[tuple[str, str], int]:
    return needed_rows(StudySpec.model_validate(changed(changes)), lambda name, split: NUM_ROWS[split], arms)


def test_the_largest_of_grid_budget_matrix_shots_and_labels() -> None:
    small = {"space.composition.num_samples": [2, 3], "space.composition.budget": 6, "transfer.num_samples": 5}
    rows = needed({**small, "few_shot": {"mr-lung": 2}, "confirm.comparators": ["target-labels"]})
    sources = {"ct-lung", "ct-brain", "mr-brain", "us-heart", "xr-hand"}
    assert {name for name, split in rows if split == "train"} == {*sources, "mr-lung"}
    assert {rows[(name, "train")] for name in sources} == {6}
    assert rows[("mr-lung", "train")] == 4  # as many labels as the search has asked questions
    assert needed({**small, "few_shot": {"mr-lung": 3}, "confirm.comparators": []})[("mr-lung", "train")] == 3
    assert needed({**small, "transfer.num_samples": 9})[("ct-lung", "train")] == 9
    assert needed({})[("ct-lung", "train")] == 12  # of 16 in the budget there are no more
    assert rows[("mr-lung", "search")] == rows[("mr-lung", "confirm")] == 4
    assert ("mr-lung", "sealed") not in rows


def test_a_design_reads_what_its_arms_take() -> None:
    design = {"design": {"kind": "controlled"}}
    rows = needed(design, [{"ct-lung": 3, "us-heart": 8}, {"ct-lung": 5}])
    assert {place[0]: number for place, number in rows.items() if place[1] == "train"} == {"ct-lung": 5, "us-heart": 8}


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_every_composition_and_control_of_a_search_is_within_them(seed: int, total: int) -> None:
    spec = StudySpec.model_validate(changed({}))
    rows = needed_rows(spec, lambda name, split: NUM_ROWS[split])
    drawn = spec.space.composition.sample(random.Random(seed))
    control = share_out({"us-heart": NUM_ROWS["train"]}, min(total, spec.space.composition.budget))
    for composition in (drawn, control):
        assert all(number <= rows[(subset, "train")] for subset, number in composition.items())
