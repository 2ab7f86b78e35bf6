from __future__ import annotations

import numpy as np
import pytest

from datasets_spec.copies.groups import CopyGroups, CopySearch
from datasets_spec.errors import LeakageError
from datasets_spec.prepare.surveying.ties import tie_rows
from datasets_spec.sample import SPLITS, QuarantineReason
from datasets_spec.splits.leak_counts import count_leaks
from datasets_spec.splits.leak_levels import LEVELS, LeakagePolicy
from datasets_spec.splits.links import LINK_PREFIXES
from datasets_spec.splits.row_plan import RowPlan, make_plan
from tests.makers.rows import TRAIN_ONLY, hash_of, table_of, untied
from tests.makers.rows import planned_row as item
from tests.reference_plan.rows import Row


def planted() -> list[Row]:
    """One training row for each level, and one that shows nothing of the test rows."""
    return [
        item("pool", 0, image="i0", data="f0"),
        item("pool", 1, image="i1"),
        item("pool", 2, image="i2 saved again"),
        item("pool", 3, image="slice beside i5"),
        item("pool", 4, image="other", group="p3"),
        item("pool", 5, image="own", group="p4"),
        item("test", 0, image="i0", data="f0"),
        item("test", 1, image="i1"),
        item("test", 2, image="i2"),
        item("test", 3, image="i3", group="p3"),
        item("test", 4, image="i5"),
    ]


def plan_for(policy: LeakagePolicy) -> RowPlan:
    groups = CopyGroups(
        copies=dict.fromkeys(map(hash_of, ("i2", "i2 saved again")), hash_of("i2")),
        slices=dict.fromkeys(map(hash_of, ("i5", "slice beside i5")), hash_of("i5")),
        search=CopySearch(),
    )
    return make_plan(tie_rows(table_of(planted()), groups, policy), TRAIN_ONLY, seed=0, policy=policy)


def removed(plan: RowPlan) -> list[int]:
    assert {reason for _, reason in plan.removed} <= {QuarantineReason.leaked_row}
    return sorted(int(rows.table.index[at]) for rows, _ in plan.removed for at in rows.positions)


def test_every_level_is_caught_and_counted_at_the_strongest() -> None:
    plan = plan_for(LeakagePolicy(slices="drop"))
    assert removed(plan) == [0, 1, 2, 3, 4]
    assert [(leak.level, leak.num_rows, leak.action) for leak in plan.leaks] == [(level, 1, "drop") for level in LEVELS]
    assert {(leak.subset, leak.split, leak.seen_subset, leak.seen_split) for leak in plan.leaks} == {
        ("pool", "train", "test", "sealed")
    }


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_that_only_warns_keeps_its_rows_and_is_still_counted(level: str) -> None:
    plan = plan_for(LeakagePolicy.model_validate({"slices": "drop", level: "warn"}))
    # Equal files show equal pixels: to keep them, both levels have to warn.
    kept = [] if level == "bytes" else [LEVELS.index(level)]
    assert removed(plan) == [row for row in range(5) if row not in kept]
    actions = {leak.level: leak.action for leak in plan.leaks}
    assert actions == {
        **dict.fromkeys(LEVELS, "drop"),
        **({} if level == "bytes" else {level: "warn"}),
    }
    assert sum(leak.num_rows for leak in plan.leaks) == 5


def test_neighbouring_slices_are_only_told_by_default() -> None:
    plan = plan_for(LeakagePolicy())
    assert removed(plan) == [0, 1, 2, 4]
    assert {leak.level: leak.action for leak in plan.leaks}["slices"] == "warn"


def test_equal_files_that_may_stay_are_refused_where_equal_pixels_are() -> None:
    with pytest.raises(LeakageError, match=r"bytes: 1 rows of pool"):
        plan_for(LeakagePolicy(bytes="warn", pixels="refuse"))


def test_with_the_guard_off_everything_stays() -> None:
    plan = plan_for(LeakagePolicy.model_validate(dict.fromkeys(LEVELS, "warn")))
    assert plan.removed == []
    assert sum(leak.num_rows for leak in plan.leaks) == 5


@pytest.mark.parametrize("level", LEVELS)
def test_a_refused_level_stops_and_names_the_subsets(level: str) -> None:
    with pytest.raises(LeakageError, match=rf"{level}: 1 rows of pool \(train\) show what test \(sealed\)"):
        plan_for(LeakagePolicy.model_validate({level: "refuse"}))


def test_pairs_are_counted_between_all_splits() -> None:
    rows = [item("a", 0, image="i"), item("b", 0, image="i"), item("c", 0, image="i"), item("d", 0, image="j")]
    split = np.array([SPLITS.index(name) for name in ("train", "search", "sealed", "sealed")], np.int8)
    leaks = count_leaks(untied(table_of(rows)), split, LeakagePolicy())
    found = {(leak.subset, leak.seen_subset) for leak in leaks}
    assert found == {("a", "b"), ("a", "c"), ("b", "c")}


def test_every_level_has_ties_and_a_prefix_to_draw_by() -> None:
    assert tuple(LINK_PREFIXES) == LEVELS
    links = untied(table_of(planted()))
    assert {level: len(links.edges(level).rows) for level in LEVELS} == {
        "bytes": 11,
        "pixels": 11,
        "near": 0,
        "slices": 0,
        "group": 3,
    }
