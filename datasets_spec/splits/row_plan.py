"""Which rows are kept, in which split and order: decided from hashes alone, without texts or pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datasets_spec.sample import SPLITS, QuarantineReason
from datasets_spec.splits.assign import assign_splits
from datasets_spec.splits.hashes import Codes, distinct
from datasets_spec.splits.leak_counts import count_leaks
from datasets_spec.splits.leak_guard import leaked_rows, require_no_leak, require_no_refused
from datasets_spec.splits.leak_levels import LeakagePolicy, LeakCount
from datasets_spec.splits.links import Links
from datasets_spec.splits.row_order import round_robin
from datasets_spec.splits.row_table import Numbers, Rows, RowTable
from datasets_spec.splits.shares import SamplingSpec, SplitShares

POOL = "pool"
TEST = "test"
NO_SPLIT = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class RowPlan:
    """The decision about all rows.

    Args:
        split: Of every row, its position in ``SPLITS``, those left out included; -1 for copies, which were given none.
        partitions: Kept rows in order, by (subset, split).
        removed: Rows left out, with the reason ``duplicate_row``, ``leaked_row`` or ``not_sampled``.
        leaks: Rows that showed what a later split shows, before anything was done about it.
    """

    split: NDArray[np.int8]
    partitions: dict[tuple[str, str], Rows] = field(default_factory=dict)
    removed: list[tuple[Rows, QuarantineReason]] = field(default_factory=list)
    leaks: tuple[LeakCount, ...] = ()


def make_plan(
    links: Links,
    shares: Mapping[str, SplitShares],
    *,
    seed: int,
    sampling: Mapping[str, SamplingSpec] | None = None,
    policy: LeakagePolicy | None = None,
) -> RowPlan:
    """De-duplicates, splits, guards against leaks, orders and samples rows.

    Args:
        links: Usable rows of all subsets, and what ties them.
        shares: Shares by subset.
        seed: Seed of the store.
        sampling: What is kept, by subset; everything of a subset that is not named.
        policy: What is done about leaks.

    Raises:
        LeakageError: There are leaks that the policy refuses, or the guard failed.
    """
    table, policy = links.table, policy or LeakagePolicy()
    contents = distinct(table.content).codes
    is_copy = _copies(table, contents)
    split = _split_rows(links, policy, ~is_copy, shares, seed)
    leaks = count_leaks(links, split, policy)
    require_no_refused(leaks)
    is_leaked = leaked_rows(links, policy.acted, split)
    kept = np.where(is_leaked, np.int8(NO_SPLIT), split)
    is_copy |= _sealed_copies(table, contents, kept)
    kept[is_copy] = NO_SPLIT
    require_no_leak(links, policy.acted, kept)
    plan = RowPlan(split=split, leaks=leaks)
    _remove(plan, table, np.flatnonzero(is_copy), QuarantineReason.duplicate_row)
    _remove(plan, table, np.flatnonzero(is_leaked), QuarantineReason.leaked_row)
    _order_partitions(plan, table, kept, sampling or {}, seed)
    return plan


def _remove(plan: RowPlan, table: RowTable, positions: Numbers, reason: QuarantineReason) -> None:
    if len(positions):
        plan.removed.append((Rows(table=table, positions=positions), reason))


def _within_subset(table: RowTable, contents: Codes) -> Numbers:
    """Numbers that are equal for equal contents of one subset."""
    return table.subset.astype(np.int64) << 32 | contents


def _copies(table: RowTable, contents: Codes) -> NDArray[np.bool_]:
    """Rows that an earlier one of their subset and role is a copy of."""
    # A pool row that copies a test row is a leak, not a duplicate: it is left for the guard to find and count.
    is_copy = np.zeros(len(table), bool)
    repeated = np.flatnonzero((np.bincount(contents, minlength=1) > 1)[contents])
    keys = _within_subset(table, contents)[repeated] << 1 | table.has_role(TEST)[repeated]
    is_copy[repeated] = True
    is_copy[repeated[np.unique(keys, return_index=True)[1]]] = False
    return is_copy


def _sealed_copies(table: RowTable, contents: Codes, split: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Rows of the pool that copy a test row of their subset and are sealed as it is: no leak, but one too many."""
    is_sealed, is_test = split == SPLITS.index("sealed"), table.has_role(TEST)
    keys, pool = _within_subset(table, contents), np.flatnonzero(is_sealed & ~is_test)
    is_copy = np.zeros(len(table), bool)
    is_copy[pool] = np.isin(keys[pool], keys[is_sealed & is_test])
    return is_copy


def _split_rows(
    links: Links, policy: LeakagePolicy, chosen: NDArray[np.bool_], shares: Mapping[str, SplitShares], seed: int
) -> NDArray[np.int8]:
    is_pool = links.table.has_role(POOL) & chosen
    split = np.full(len(chosen), NO_SPLIT, np.int8)
    split[chosen] = SPLITS.index("sealed")
    split[is_pool] = assign_splits(links, policy.acted, is_pool, shares, seed=seed)
    return split


def _order_partitions(
    plan: RowPlan, table: RowTable, split: NDArray[np.int8], sampling: Mapping[str, SamplingSpec], seed: int
) -> None:
    subsets = table.subsets
    cell = np.where(split == NO_SPLIT, -1, table.subset * len(SPLITS) + split)
    by_cell = np.argsort(cell, kind="stable")
    bounds = np.searchsorted(cell[by_cell], np.arange(len(subsets) * len(SPLITS) + 1))
    for number, subset in enumerate(subsets):
        for name in sorted(SPLITS):
            start, end = bounds[number * len(SPLITS) + SPLITS.index(name) :][:2]
            if start < end:
                kept_of = sampling.get(subset, SamplingSpec())
                _order_partition(plan, table, by_cell[start:end], subset, name, kept_of, seed)


def _order_partition(
    plan: RowPlan, table: RowTable, members: Numbers, subset: str, split: str, kept_of: SamplingSpec, seed: int
) -> None:
    # Rows of one subset and split differ in content, so content names them whatever their files are called.
    order = round_robin(table.content, members, table.label[members], table.labels, seed=seed, name=f"{subset}/{split}")
    ordered = members[order]
    nums = np.bincount(table.label[ordered], minlength=len(table.labels)).tolist()
    labels = Counter({label: num for label, num in zip(table.labels, nums, strict=True) if num})
    num_kept = kept_of.num_kept(split, labels)
    plan.partitions[subset, split] = Rows(table=table, positions=ordered[:num_kept])
    _remove(plan, table, ordered[num_kept:], QuarantineReason.not_sampled)
