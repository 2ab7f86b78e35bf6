from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_spec.copies import known_shortlist as module
from datasets_spec.copies.known_shortlist import SHORTLIST_NAME, known_shortlist
from datasets_spec.copies.looks import Looks
from datasets_spec.copies.shortlist import Shortlist, shortlist
from tests.datasets_spec.copies.test_shortlist import drawn_looks, pairs_of, with_copies


class Counted:
    """Lists pairs, and counts how often."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.num = 0
        monkeypatch.setattr(module, "shortlist", self)

    def __call__(self, looks: Looks, **how: Any) -> Shortlist:
        self.num += 1
        return shortlist(looks, **how)


def test_the_same_looks_are_listed_once_and_any_others_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = with_copies(drawn_looks(np.random.default_rng(0), 40), np.random.default_rng(1), 15)
    apart, other_looks = np.arange(len(looks)), looks.copy()
    other_looks[3, 0, 0] += 1
    tied = apart.copy()
    tied[40] = tied[0]
    counted = Counted(monkeypatch)
    found = known_shortlist(looks, with_mirrored=True, tied=apart, store_dir=tmp_path)
    again = known_shortlist(looks, with_mirrored=True, tied=apart, store_dir=tmp_path)
    assert pairs_of(again) == pairs_of(found) == pairs_of(shortlist(looks))
    assert len(pairs_of(found)) >= 15
    assert again.num_cut == found.num_cut
    assert counted.num == 1
    for changed in (
        {"looks": other_looks},
        {"looks": looks[:-1], "tied": apart[:-1]},
        {"tied": tied},
        {"with_mirrored": False},
    ):
        how: dict[str, Any] = {"looks": looks, "with_mirrored": True, "tied": apart} | changed
        before = counted.num
        listed = known_shortlist(**how, store_dir=tmp_path)
        assert counted.num == before + 1
        assert pairs_of(listed) == pairs_of(
            shortlist(how["looks"], with_mirrored=how["with_mirrored"], tied=how["tied"])
        )


def test_another_version_lists_again_and_so_does_a_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = drawn_looks(np.random.default_rng(0), 20)
    how: dict[str, Any] = {"with_mirrored": True, "tied": np.arange(20), "store_dir": tmp_path}
    counted = Counted(monkeypatch)
    known_shortlist(looks, **how)
    monkeypatch.setattr(module, "_LISTING_VERSION", 0)
    known_shortlist(looks, **how)
    assert counted.num == 2
    path = tmp_path / SHORTLIST_NAME
    for number, broken in enumerate((b"", b"no Arrow", path.read_bytes()[:-9]), start=3):
        path.write_bytes(broken)
        known_shortlist(looks, **how)
        assert counted.num == number
