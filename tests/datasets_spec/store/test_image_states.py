"""A store is current as long as no image differs from what was looked at, wherever links lead now."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_spec.images.file_state import ABSENT
from datasets_spec.images.files import file_state, resolve_beneath
from datasets_spec.images.limits import ImageRefused
from datasets_spec.store import image_states
from datasets_spec.store.image_states import images_unchanged

NAMES = [f"{folder}/{number}.png" for folder in ("a", "a/deep", "b") for number in range(4)]


def looked_at(root: Path, published: str) -> tuple[int, int]:
    try:
        state = file_state(resolve_beneath(root, published))
    except ImageRefused:
        state = ABSENT
    return state.num_bytes, state.mtime_ns


def table(root: Path, names: list[str]) -> pa.Table:
    states = [looked_at(root, name) for name in names]
    numbers = {"num_bytes": [size for size, _ in states], "mtime_ns": [time for _, time in states]}
    return pa.table({"subset": ["s"] * len(names), "path": names, **numbers})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "0.png").write_bytes(b"b/0.png")
    return tmp_path / "root"


def same_times(path: Path, other: Path) -> None:
    os.utime(path, ns=(0, other.stat().st_mtime_ns))


@pytest.mark.parametrize("change", ["size", "time", "gone", "file link out", "folder link out", "folder", "arrived"])
def test_every_change_is_seen(root: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_states, "_IMAGES_PER_TASK", 5)
    names = [*NAMES, "b/later.png"]
    before = table(root, names)
    assert images_unchanged(before, {"s": str(root)})
    image, outside = root / "b" / "0.png", root.parent / "outside"
    same_times(outside / "0.png", image)
    if change == "size":
        times = image.stat()
        image.write_bytes(b"longer than before")
        os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif change == "time":
        os.utime(image, ns=(0, 1))
    elif change == "arrived":
        (root / "b" / "later.png").write_bytes(b"")
    elif change == "folder link out":
        (root / "b").rename(root / "was-b")
        (root / "b").symlink_to(outside)
    else:
        image.unlink()
        if change == "file link out":
            image.symlink_to(outside / "0.png")
        elif change == "folder":
            image.mkdir()
    assert not images_unchanged(before, {"s": str(root)})


def test_links_within_the_root_are_followed(root: Path) -> None:
    (root / "c").symlink_to(root / "a")
    (root / "b" / "link.png").symlink_to(root / "a" / "deep" / "1.png")
    names = [*NAMES, "b/link.png", "c/deep/2.png"]
    before = table(root, names)
    assert images_unchanged(before, {"s": str(root)})
    (root / "a" / "deep" / "1.png").write_bytes(b"longer than before")
    assert not images_unchanged(before.slice(len(NAMES), 1), {"s": str(root)})


PARTS = st.sampled_from(
    ["a", "b", "..", ".", "", "~", "C:", "deep", "0.png", "x\\y", "..\\", "::", "out", "loop", "\0"]
)


@given(st.lists(PARTS, min_size=1, max_size=4).map("/".join))
@settings(max_examples=300)
def test_a_path_is_judged_as_when_it_was_opened(tmp_path_factory: pytest.TempPathFactory, published: str) -> None:
    top = tmp_path_factory.getbasetemp() / "judged"
    if not top.exists():
        (top / "root" / "a" / "deep").mkdir(parents=True)
        for folder in (top, top / "root", top / "root" / "a", top / "root" / "a" / "deep"):
            (folder / "0.png").write_bytes(b"x")
        (top / "root" / "out").symlink_to(top)
        (top / "root" / "loop").symlink_to(top / "root" / "loop")
        (top / "root" / "b").symlink_to(top / "root" / "a")
    root = top / "root"
    expected = looked_at(root, published)
    states = pa.table({"subset": ["s"], "path": [published], "num_bytes": [expected[0]], "mtime_ns": [expected[1]]})
    assert images_unchanged(states, {"s": str(root)})
