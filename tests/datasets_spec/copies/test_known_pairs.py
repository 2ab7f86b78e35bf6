from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.copies import known_pairs as module
from datasets_spec.copies.chunks import ComparedPair
from datasets_spec.copies.groups import CopyGroups, group_copies
from datasets_spec.copies.known_pairs import KNOWN_PAIRS_NAME, read_known, write_known
from datasets_spec.images.limits import ImageLimits
from tests.datasets_spec.copies.test_groups import seen
from tests.makers.planted import MILD, phantom_image
from tests.makers.scans import head_slice

NAMES = st.integers(0, 50).map("image {}".format)
PAIRS = st.lists(
    st.builds(
        ComparedPair,
        one=NAMES,
        two=NAMES,
        relation=st.sampled_from(["copy", "slice", "other"]),
        local=st.floats(-1, 1),
        detail=st.floats(-1, 1),
    ),
    unique_by=lambda pair: (pair.one, pair.two),
)


@given(PAIRS, st.lists(st.tuples(NAMES, NAMES), unique=True))
def test_what_is_kept_comes_back_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[ComparedPair], others: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    write_known(folder, read_known(folder, flips=True).with_pairs(pairs))
    kept = {(pair.one, pair.two): pair for pair in pairs}
    assert read_known(folder, flips=True).of([*kept]) == kept
    assert read_known(folder, flips=True).of(others) == {pair: kept[pair] for pair in others if pair in kept}
    assert read_known(folder, flips=False).of([*kept]) == {}


def test_another_version_knows_nothing_and_a_broken_file_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = ComparedPair(one="a", two="b", relation="copy", local=1.0, detail=1.0)
    write_known(tmp_path, read_known(tmp_path, flips=True).with_pairs([pair]))
    assert read_known(tmp_path, flips=True).of([("a", "b")]) == {("a", "b"): pair}
    monkeypatch.setattr(module, "_COMPARING_VERSION", 0)
    assert read_known(tmp_path, flips=True).of([("a", "b")]) == {}
    monkeypatch.undo()
    for broken in (b"", (tmp_path / KNOWN_PAIRS_NAME).read_bytes()[:-9]):
        (tmp_path / KNOWN_PAIRS_NAME).write_bytes(broken)
        assert read_known(tmp_path, flips=True).of([("a", "b")]) == {}


def test_groups_are_the_same_whether_pairs_were_compared_now_or_before(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    originals = [phantom_image(number) for number in range(8)] + [head_slice(7, depth / 50) for depth in range(3)]
    copies = [MILD["JPEG 90"](originals[0], rng), MILD["brighter 10 %"](originals[0], rng)]
    images = seen(tmp_path, [*originals, *copies])
    first = group_copies(images, limits=ImageLimits())
    assert {pair.relation for pair in first.compared} >= {"copy", "slice"}
    known = {(pair.one, pair.two): pair for pair in first.compared}
    told: list[str] = []

    def again(**how: Any) -> CopyGroups:
        return group_copies(
            images, limits=ImageLimits(), known_pairs=lambda pairs: {p: known[p] for p in pairs if p in known}, **how
        )

    for path in tmp_path.iterdir():
        path.unlink()  # no image is opened any more
    assert again(on_event=told.append) == first
    assert told[0].endswith(f", {len(first.compared)} of them known from before")
    # What is known is believed: were it not looked at, this pair would be a copy.
    (some, *_) = (pair for pair in first.compared if pair.relation == "slice")
    known[some.one, some.two] = replace(some, relation="other")
    assert some not in again().pairs
