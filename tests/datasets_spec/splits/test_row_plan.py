from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import datasets_spec.splits.row_plan
from datasets_spec.copies.groups import CopyGroups, CopySearch
from datasets_spec.errors import LeakageError
from datasets_spec.prepare.surveying.ties import tie_rows
from datasets_spec.sample import SPLITS, QuarantineReason
from datasets_spec.splits.assign import assign_splits, components, split_at
from datasets_spec.splits.leak_guard import leaked_rows, require_no_leak
from datasets_spec.splits.leak_levels import LEVELS, LeakagePolicy
from datasets_spec.splits.links import Edges, Links
from datasets_spec.splits.row_plan import POOL, TEST, make_plan
from datasets_spec.splits.shares import SamplingSpec, SplitShares
from tests.makers.rows import hash_of, named_links, table_of, untied
from tests.reference_plan.rows import GROUP_LINK, IMAGE_LINK, Row

HALF = SplitShares(train=0.4, search=0.2, confirm=0.2, sealed=0.2)
STRICT = SplitShares(train=0.2, search=0.3, confirm=0.3, sealed=0.2)
SHARES = {"a": HALF, "b": HALF, "c": STRICT}
TRAIN_ONLY = dict.fromkeys("abc", SplitShares(train=1.0, search=0.0, confirm=0.0, sealed=0.0))
NO_COPIES = CopyGroups(search=CopySearch())


def row(subset: str, index: int, images: Sequence[str], groups: Sequence[str] = (), role: str = POOL) -> Row:
    return Row(
        subset=subset,
        role=role,
        file=f"{role}.json",
        index=index,
        content_hash=hash_of(f"{subset}{index}"),
        row_hash=hash_of(f"{subset}{index}"),
        label="xyz"[index % 3],
        links=named_links(images, groups),
    )


@st.composite
def pools(draw: st.DrawFn) -> list[Row]:
    names = st.sampled_from([f"i{n}" for n in range(12)])
    people = st.sampled_from([f"g{n}" for n in range(5)])
    rows = [
        row(
            draw(st.sampled_from("abc")),
            index,
            draw(st.lists(names, min_size=1, max_size=3)),
            draw(st.lists(people, max_size=1)),
            draw(st.sampled_from([POOL, POOL, POOL, TEST])),
        )
        for index in range(draw(st.integers(0, 25)))
    ]
    # Half of them are asked the same, so that of those about the same images all but one are duplicates.
    for item in rows:
        if draw(st.booleans()):
            item.content_hash = hash_of(",".join(sorted(images_of(item))))
    return rows


def images_of(item: Row) -> set[str]:
    return {link for link in item.links if link.startswith(IMAGE_LINK)}


def shown_by(rows: list[Row], shows: Row) -> set[str]:
    """Images of a row, and the patients that it or any other names for one of them."""
    named = [item.links for item in rows if item is shows or images_of(item) & images_of(shows)]
    return images_of(shows) | {link for links in named for link in links if link.startswith(GROUP_LINK)}


class Planned(NamedTuple):
    """A plan as rows."""

    partitions: dict[tuple[str, str], list[Row]]
    removed: list[tuple[Row, QuarantineReason]]


def planned(
    rows: list[Row],
    shares: Mapping[str, SplitShares],
    *,
    seed: int,
    sampling: Mapping[str, SamplingSpec] | None = None,
) -> Planned:
    links = tie_rows(table_of(rows), NO_COPIES, LeakagePolicy())
    plan = make_plan(links, shares, seed=seed, sampling=sampling)
    ordered = sorted(rows, key=lambda row: row.place)
    for item, split in zip(ordered, plan.split.tolist(), strict=True):
        item.split = SPLITS[split] if split >= 0 else ""
    return Planned(
        partitions={key: [ordered[at] for at in part.positions] for key, part in plan.partitions.items()},
        removed=[(ordered[at], reason) for part, reason in plan.removed for at in part.positions],
    )


def kept(plan: Planned) -> list[Row]:
    return [row for rows in plan.partitions.values() for row in rows]


@settings(max_examples=50)
@given(pools(), st.integers(0, 4))
def test_no_image_and_no_patient_is_in_two_splits(rows: list[Row], seed: int) -> None:
    plan = planned(rows, SHARES, seed=seed)
    seen: dict[str, str] = {}
    for item in kept(plan):
        for link in shown_by(rows, item):
            assert seen.setdefault(link, item.split) == item.split
    assert len(kept(plan)) + len(plan.removed) == len(rows)
    assert all(item.split == "sealed" for item in kept(plan) if item.role == TEST)


@settings(max_examples=50)
@given(pools(), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_rows_come_in(rows: list[Row], chance: random.Random) -> None:
    plan = planned(rows, SHARES, seed=2)
    names = {key: [item.row_hash for item in part] for key, part in plan.partitions.items()}
    again = planned(chance.sample(rows, len(rows)), SHARES, seed=2)
    assert names == {key: [item.row_hash for item in part] for key, part in again.partitions.items()}


@settings(max_examples=50)
@given(pools())
def test_without_test_files_nothing_leaks_even_across_unequal_shares(rows: list[Row]) -> None:
    plan = planned([item for item in rows if item.role == POOL], SHARES, seed=0)
    assert not [item for item, reason in plan.removed if reason == QuarantineReason.leaked_row]


def test_components_join_through_chains() -> None:
    names = ["ab", "c", "bd", "e", "dc", "e", ""]
    ties = [(row, "abcde".index(name)) for row, texts in enumerate(names) for name in texts]
    rows, codes = (np.array(ends, np.int32) for ends in zip(*ties, strict=True))
    assert components(7, [Edges(rows, codes, 5)]).tolist() == [0, 0, 0, 1, 0, 1, 2]
    # Names of two levels are different names, whatever their numbers.
    one, two = Edges(rows[:3], codes[:3], 5), Edges(rows[3:], codes[3:], 5)
    assert components(7, [one, two]).tolist() == [0, 1, 2, 3, 2, 3, 4]


def split_of(rows: list[Row], seed: int, shares: Mapping[str, SplitShares] = SHARES) -> list[str]:
    """The splits of rows that stand in the order of their places."""
    links = untied(table_of(rows))
    found = assign_splits(links, LEVELS, np.ones(len(rows), bool), shares, seed=seed)
    return [SPLITS[split] for split in found.tolist()]


@given(st.floats(0, 1, exclude_max=True))
def test_a_split_without_a_share_gets_nothing(u: float) -> None:
    assert split_at(u, SplitShares(train=0.0, search=0.5, confirm=0.5, sealed=0.0)) in ("search", "confirm")
    assert split_at(u, SplitShares(train=1.0, search=0.0, confirm=0.0, sealed=0.0)) == "train"


def test_shares_are_met_over_many_patients() -> None:
    rows = [row("a", n, [f"i{n}"], [f"g{n // 2}"]) for n in range(8000)]
    counts = Counter(split_of(rows, 0, {"a": SplitShares()}))
    for split, share in zip(SPLITS, SplitShares().as_tuple(), strict=True):
        assert abs(counts[split] / 8000 - share) < 0.02


def test_a_patient_keeps_the_split_when_rows_are_added() -> None:
    before = split_of([row("a", 30 + n, [f"i{n}"], [f"g{n}"]) for n in range(20)], 5)
    more = [row("a", n, [f"new{n}"], [f"g{(29 - n) % 25}"]) for n in range(30)]
    after = split_of([*more, *(row("a", 30 + n, [f"i{n}"], [f"g{n}"]) for n in range(20))], 5)
    assert after[30:] == before
    assert len(set(before)) == 4


def planted() -> list[Row]:
    """A pool of one subset that contains the test image of another, and the test patient of a third."""
    pool = [row("a", n, [f"i{n}"]) for n in range(40)]
    return [*pool, row("b", 0, ["i7"], role=TEST), row("c", 0, ["new"], ["g"], role=TEST), row("c", 1, ["old"], ["g"])]


def test_a_planted_leak_is_removed_and_the_evaluation_row_stays() -> None:
    plan = planned(planted(), TRAIN_ONLY, seed=0)
    assert {(item.subset, item.index) for item, _ in plan.removed} == {("a", 7), ("c", 1)}
    assert {reason for _, reason in plan.removed} == {QuarantineReason.leaked_row}
    assert [item.subset for item in kept(plan) if item.role == TEST] == ["b", "c"]


def test_a_patient_goes_with_the_picture_that_another_row_names_it_for() -> None:
    """The patient of x is y's, which is sealed: whoever shows x goes, though x and y are not compared."""
    named, unnamed, test = row("a", 0, ["x"], ["p"]), row("b", 1, ["x"]), row("a", 2, ["y"], ["p"], role=TEST)
    plan = planned([named, unnamed, test, row("b", 3, ["z"])], TRAIN_ONLY, seed=0)
    assert [(item.index, reason.value) for item, reason in plan.removed] == [(0, "leaked_row"), (1, "leaked_row")]


@pytest.mark.parametrize("own", [["p1"], []])
@pytest.mark.parametrize("role", [POOL, TEST])
def test_a_duplicate_leaves_its_patient_with_the_row_that_stays(own: list[str], role: str) -> None:
    for seed in range(20):
        stays, goes, other = row("a", 0, ["x"], own), row("a", 1, ["x"], ["p2"]), row("a", 2, ["y"], ["p2"], role)
        goes.content_hash = stays.content_hash
        plan = planned([stays, goes, other], SHARES, seed=seed)
        assert (goes, QuarantineReason.duplicate_row) in plan.removed
        assert len({item.split for item in kept(plan)}) == 1


def test_a_bypassed_guard_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(links: Links, levels: Sequence[str], split: NDArray[np.int8]) -> NDArray[np.bool_]:
        return np.zeros(len(split), bool)

    monkeypatch.setattr(datasets_spec.splits.row_plan, "leaked_rows", nothing)
    with pytest.raises(LeakageError, match="in both"):
        planned(planted(), TRAIN_ONLY, seed=0)


@pytest.mark.parametrize("early", SPLITS)
@pytest.mark.parametrize("late", SPLITS)
def test_the_later_split_wins(early: str, late: str) -> None:
    links = untied(table_of([row("a", 0, ["same"]), row("b", 1, ["same", "other"])]))
    split = np.array([SPLITS.index(early), SPLITS.index(late)], np.int8)
    leaked = leaked_rows(links, LEVELS, split).tolist()
    if early == late:
        assert leaked == [False, False]
        require_no_leak(links, LEVELS, split)
    else:
        assert leaked == [split[0] < split[1], split[0] > split[1]]
        with pytest.raises(LeakageError):
            require_no_leak(links, LEVELS, split)
        # What is not stored, and what is tied at another level only, does not count.
        require_no_leak(links, LEVELS, np.where(leaked, np.int8(-1), split))
        require_no_leak(links, ["bytes"], split)


def test_copies_inside_a_subset_are_removed_once() -> None:
    rows = [row("a", n, ["i"]) for n in range(3)] + [row("b", 9, ["i"])]
    for item in rows:
        item.content_hash = hash_of("same")
    plan = planned(rows, SHARES, seed=0)
    assert sorted((item.subset, item.index) for item in kept(plan)) == [("a", 0), ("b", 9)]
    assert [reason for _, reason in plan.removed] == [QuarantineReason.duplicate_row] * 2


@pytest.mark.parametrize("seed", range(4))
def test_a_sealed_copy_of_a_test_row_is_a_duplicate(seed: int) -> None:
    """Sealed as the test row is, it is no leak; it was lost, and preparing stopped."""
    pool = [row("a", n, [f"i{n}"]) for n in range(20)]
    test = [row("a", n, [f"i{n}"], role=TEST) for n in range(20)]
    plan = planned([*pool, *test], SHARES, seed=seed)
    assert [item.role for item in kept(plan)] == [TEST] * 20
    reasons = Counter(reason for _, reason in plan.removed)
    assert reasons[QuarantineReason.duplicate_row] == sum(item.split == "sealed" for item in pool) > 0
    assert reasons[QuarantineReason.leaked_row] == 20 - reasons[QuarantineReason.duplicate_row]


LABELLED = st.lists(st.sampled_from("xyz"), max_size=60)


@given(LABELLED, st.integers(1, 30), st.booleans(), st.integers(0, 3))
def test_sampling_keeps_as_much_as_it_says_and_counts_the_rest(
    labels: list[str], max_train: int, balanced: bool, seed: int
) -> None:
    rows = [row("a", index, [f"i{index}"]) for index in range(len(labels))]
    for item, label in zip(rows, labels, strict=True):
        item.label = label
    policy = SamplingSpec(max_train=max_train, balanced_evaluation=balanced)
    everything = planned(rows, SHARES, seed=seed)
    sampled = planned(rows, SHARES, seed=seed, sampling={"a": policy})
    for (subset, split), whole in everything.partitions.items():
        part = sampled.partitions[subset, split]
        # A sample is a prefix: more rows never change which come first.
        assert part == whole[: len(part)]
        counts = Counter(item.label for item in part)
        if split == "train":
            assert len(part) == min(max_train, len(whole))
        elif balanced:
            smallest = min(Counter(item.label for item in whole).values())
            assert set(counts.values()) == {smallest}
            assert counts.keys() == {item.label for item in whole}
        else:
            assert part == whole
    assert len(kept(sampled)) + len(sampled.removed) == len(rows)
    assert {reason for _, reason in sampled.removed} <= {QuarantineReason.not_sampled}


def test_a_training_sample_is_as_balanced_as_the_pool_allows() -> None:
    rows = [row("a", index, [f"i{index}"]) for index in range(100)]
    for index, item in enumerate(rows):
        item.label = "rare" if index < 10 else "common" if index < 40 else "most"
    plan = planned(rows, TRAIN_ONLY, seed=0, sampling={"a": SamplingSpec(max_train=50)})
    counts = Counter(item.label for item in plan.partitions["a", "train"])
    assert counts == {"rare": 10, "common": 20, "most": 20}
