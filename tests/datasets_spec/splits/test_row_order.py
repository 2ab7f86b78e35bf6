from __future__ import annotations

import random
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.splits.hashes import from_hex
from datasets_spec.splits.row_order import round_robin, unit_interval
from tests.makers.rows import hash_of

POOLS = st.lists(st.sampled_from("abcde"), max_size=60).map(lambda labels: list(enumerate(labels)))


def ordered(rows: list[tuple[int, str]], *, seed: int, name: str) -> list[int]:
    """The numbers of rows in order."""
    contents, texts = from_hex([hash_of(str(number)) for number, _ in rows]), "edcba"
    labels = np.array([texts.index(label) for _, label in rows], np.int32)
    return [
        rows[at][0] for at in round_robin(contents, np.arange(len(rows)), labels, texts, seed=seed, name=name).tolist()
    ]


@given(POOLS, st.integers(0, 3))
def test_every_prefix_is_as_balanced_as_the_pool_allows(rows: list[tuple[int, str]], seed: int) -> None:
    available = Counter(label for _, label in rows)
    order = ordered(rows, seed=seed, name="s/train")
    assert sorted(order) == list(range(len(rows)))
    taken: Counter[str] = Counter()
    for identity in order:
        taken[rows[identity][1]] += 1
        not_used_up = [taken[label] for label in available if taken[label] < available[label]]
        assert max(taken.values()) - min(not_used_up, default=max(taken.values())) <= 1


@given(POOLS, st.randoms(use_true_random=False))
def test_the_order_rows_come_in_does_not_matter(rows: list[tuple[int, str]], chance: random.Random) -> None:
    shuffled = chance.sample(rows, len(rows))
    assert ordered(rows, seed=1, name="s") == ordered(shuffled, seed=1, name="s")


def test_seeds_and_names_give_other_orders() -> None:
    rows = [(i, "ab"[i % 2]) for i in range(50)]
    base = ordered(rows, seed=0, name="s/train")
    assert base != ordered(rows, seed=1, name="s/train")
    assert base != ordered(rows, seed=0, name="t/train")


def test_no_label_always_comes_first_in_a_round() -> None:
    order = ordered([(i, "ab"[i % 2]) for i in range(400)], seed=0, name="s")
    firsts = Counter(identity % 2 for identity in order[::2])
    assert 60 < firsts[0] < 140


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_unit_interval_is_in_range_and_repeatable(parts: list[str]) -> None:
    assert 0 <= unit_interval(*parts) < 1
    assert unit_interval(*parts) == unit_interval(*parts)
