from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_spec.copies import shortlist as module
from datasets_spec.copies.looks import LENGTH, NUM_FREQUENCIES, Looks, rounded
from datasets_spec.copies.shortlist import MAX_PER_IMAGE, MIN_LIKENESS, shortlist
from datasets_spec.copies.views import flipped, turned_and_cropped


def drawn_looks(rng: np.random.Generator, num: int) -> Looks:
    return np.stack([rounded(rng.normal(size=(num, NUM_FREQUENCIES))) for _ in range(2)], axis=1)


def with_copies(looks: Looks, rng: np.random.Generator, num: int, noise: float = 0.5) -> Looks:
    """Looks, and behind them those of copies of the first ones."""
    copies = looks[:num] + rng.normal(size=(num, 2, NUM_FREQUENCIES)) * noise * LENGTH / NUM_FREQUENCIES**0.5
    return np.concatenate([looks, np.stack([rounded(copies[:, kind]) for kind in range(2)], axis=1)])


def pairs_of(found: module.Shortlist) -> list[tuple[int, int]]:
    return list(zip(found.first.tolist(), found.second.tolist(), strict=True))


def exhaustive(looks: Looks, with_mirrored: bool) -> set[tuple[int, int]]:
    found = set()
    for kind in (0, 1):
        own = looks[:, kind]
        views = [own, *(flipped(own) if with_mirrored else []), *(turned_and_cropped(own) if kind == 0 else [])]
        alike = np.max([view.astype(int) @ own.astype(int).T for view in views], axis=0)
        np.fill_diagonal(alike, -1)
        for one, row in enumerate(alike):
            floor, most = int(MIN_LIKENESS[kind] * LENGTH**2), MAX_PER_IMAGE[kind]
            best = [two for two in sorted(range(len(row)), key=lambda two: (-row[two], two)) if row[two] >= floor]
            lacking = [LENGTH**2 - row[two] for two in best]
            for rank, two in enumerate(best[:most]):
                stands_out = len(best) <= most or lacking[rank] <= 0.75 * lacking[most]
                if rank < 2 or stands_out or row[two] >= 0.92 * LENGTH**2:
                    found.add((min(one, two), max(one, two)))
    return found


@given(st.integers(0, 2**32), st.integers(2, 40), st.booleans())
@settings(max_examples=40)
def test_the_shortlist_is_that_of_comparing_each_with_each(seed: int, num: int, with_mirrored: bool) -> None:
    rng = np.random.default_rng(seed)
    looks = with_copies(drawn_looks(rng, num), rng, num)
    assert set(pairs_of(shortlist(looks, with_mirrored=with_mirrored))) == exhaustive(looks, with_mirrored)


def test_in_many_cells_copies_are_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_WHOLE", 100)
    monkeypatch.setattr(module, "_PER_CELL", 32)
    rng = np.random.default_rng(1)
    looks = with_copies(drawn_looks(rng, 1500), rng, 100)
    found = set(pairs_of(shortlist(looks)))
    assert sum((number, 1500 + number) in found for number in range(100)) >= 97


def test_thousands_of_lookalikes_stay_a_few_pairs_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = np.repeat(drawn_looks(np.random.default_rng(0), 1), 2000, axis=0)
    assert len(shortlist(looks).first) <= sum(MAX_PER_IMAGE.values()) * len(looks)
    assert shortlist(looks).num_cut == 0
    monkeypatch.setattr(module, "MAX_PER_CELL", 500)
    assert shortlist(looks).num_cut == len(looks)


def test_of_a_crowd_the_first_two_are_listed_and_what_stands_out() -> None:
    rng = np.random.default_rng(2)
    looks = drawn_looks(rng, 1)
    crowd = np.concatenate([with_copies(looks, rng, 1, 0.5)[1:] for _ in range(40)])
    copies = np.concatenate([with_copies(crowd[:1], rng, 1, 0.1)[1:] for _ in range(4)])
    found = pairs_of(shortlist(np.concatenate([crowd, copies])))
    assert {(0, 40), (0, 41), (0, 42), (0, 43)} <= set(found)
    # Two by content and two by frame, not five and three.
    assert len(found) < 3 * len(crowd)


def test_images_that_are_tied_already_are_not_paired() -> None:
    looks = np.repeat(drawn_looks(np.random.default_rng(0), 1), 4, axis=0)
    assert pairs_of(shortlist(looks, tied=np.array([0, 0, 1, 1]))) == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert pairs_of(shortlist(looks, tied=np.zeros(4, dtype=np.int64))) == []


def test_the_most_alike_come_first() -> None:
    rng = np.random.default_rng(3)
    one = drawn_looks(rng, 1)
    near, nearer = (with_copies(one, rng, 1, noise)[1:] for noise in (0.6, 0.2))
    assert pairs_of(shortlist(np.concatenate([one, near, nearer])))[0] == (0, 2)


def test_nothing_looks_like_nothing() -> None:
    assert len(shortlist(np.empty((0, 2, NUM_FREQUENCIES), dtype=np.int8)).first) == 0
