"""Coverage of Banzhaf intervals: the truth is that of the table, and an additive table is covered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.effect_coverage import effect_coverage, true_banzhaf

EFFECTS = np.array([0.08, 0.04, 0.0, -0.04, -0.08])


def additive(noise: float) -> KnownTruthTable:
    subsets = np.array([[c >> i & 1 for i in range(5)] for c in range(1, 32)], dtype=np.int8)
    worth = 0.5 + subsets @ EFFECTS
    val = worth[None, :, None] + noise * np.random.default_rng(0).standard_normal((4, 31, 2))
    return KnownTruthTable(
        name="additive", subsets=subsets, val=val, test=val,
        source_mat=tuple((f"m{i}", f"a{i}", "t") for i in range(5)), target_mat=(("m8", "a0", "t"), ("m9", "a1", "t")),
        num_val=np.array([100, 100]), num_test=np.array([100, 100]),
    )  # fmt: skip


def test_the_truth_is_what_a_source_adds() -> None:
    assert true_banzhaf(additive(0.0), 0) == pytest.approx(EFFECTS)


def test_intervals_of_an_additive_table_hold() -> None:
    (found,) = effect_coverage([additive(0.01)], strategies=["random"], checkpoints=(20,), every_target=1)
    assert (found.strategy, found.trials, found.num_intervals) == ("random", 20, 10)
    assert found.share >= 0.8
    assert 0 < found.half_width < 5


def test_clear_and_strongest_effects_are_counted_by_themselves() -> None:
    """Without noise the two strongest of five are clear after 20 trials, and orders of seeds are one target."""
    table = additive(0.0)
    tables = [table, replace(table, name="additive@1")]
    (once,) = effect_coverage(tables, strategies=["random"], checkpoints=(20,), every_target=1)
    (twice,) = effect_coverage(tables[:1], strategies=["random"], checkpoints=(20,), every_target=1, repetitions=2)
    assert (once.clear_share, once.strongest_share) == (1.0, 1.0)
    assert twice.num_intervals == once.num_intervals == 20
    (flat,) = effect_coverage([additive_of_nothing()], strategies=["random"], checkpoints=(8,), every_target=2)
    assert flat.clear_share is None


def test_an_interval_that_misses_counts_against_its_kind() -> None:
    """The truth is the mean of all seeds; a search sees one that says the opposite."""
    table = additive(0.0)
    val = np.concatenate([1 - table.val[:2], table.val[:2], table.val[:2], table.val[:2]])
    (found,) = effect_coverage(
        [replace(table, val=val, test=val)], strategies=["random"], checkpoints=(20,), every_target=1
    )
    assert found.strongest_share == 0.0
    assert found.share < 1.0


def additive_of_nothing() -> KnownTruthTable:
    table = additive(0.0)
    val = np.full_like(table.val, 0.5)
    return replace(table, val=val, test=val)
