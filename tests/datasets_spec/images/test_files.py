from __future__ import annotations

import os
from pathlib import Path

import pytest

from datasets_spec.images.file_state import ABSENT
from datasets_spec.images.files import file_state, read_image, resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused
from tests.datasets_spec.images.shown import LIMITS


def test_the_byte_limit_holds_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x" * 101)
    with pytest.raises(ImageRefused) as caught:
        read_image(path, ImageLimits(max_bytes=100))
    assert caught.value.reason == "image_too_large"
    assert read_image(path, ImageLimits(max_bytes=101)) == b"x" * 101


@pytest.mark.parametrize(
    "published",
    [
        "/etc/hostname",
        "../a.png",
        "b/../../a.png",
        "",
        "a\0.png",
        "~/a.png",
        "C:\\a.png",
        "\\\\host\\a.png",
        "..\\a.png",
        "file:///etc/hostname",
        "http://localhost/a.png",
        "zip::a.zip",
        "simplecache::http://localhost/a.png",
    ],
)
def test_paths_that_leave_the_root_are_refused(tmp_path: Path, published: str) -> None:
    with pytest.raises(ImageRefused) as caught:
        resolve_beneath(tmp_path, published)
    assert caught.value.reason == "path_outside_root"


def test_links_are_followed_only_inside_the_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "in").mkdir(parents=True)
    outside.mkdir()
    (root / "in" / "a.png").write_bytes(b"a")
    (root / "good").symlink_to(root / "in")
    (root / "bad").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    linked = tmp_path / "linked-root"
    linked.symlink_to(root)
    assert resolve_beneath(linked, "good/a.png").read_bytes() == b"a"
    with pytest.raises(ImageRefused) as caught:
        resolve_beneath(root, "bad/a.png")
    assert caught.value.reason == "path_outside_root"
    with pytest.raises(ImageRefused) as caught:
        resolve_beneath(root, "loop/a.png")
    assert caught.value.reason == "missing_image"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "folder.png", "none.png"):
        assert file_state(tmp_path / name) == ABSENT
        with pytest.raises(ImageRefused) as caught:
            read_image(tmp_path / name, LIMITS)
        assert caught.value.reason == "missing_image"


@pytest.mark.parametrize("swapped", ["", "in", "in/deep"])
def test_a_folder_that_became_a_link_between_check_and_opening_is_not_followed(tmp_path: Path, swapped: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for top in (root, outside):
        (top / "in" / "deep").mkdir(parents=True)
        (top / "in" / "deep" / "a.png").write_bytes(str(top).encode())
    place = resolve_beneath(root, "in/deep/a.png")
    assert read_image(place, LIMITS) == str(root).encode()
    (root / swapped).rename(tmp_path / "moved")
    (root / swapped).symlink_to(outside / swapped)
    with pytest.raises(ImageRefused) as caught:
        read_image(place, LIMITS)
    assert caught.value.reason == "missing_image"


def test_a_folder_that_may_be_searched_but_not_listed_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    folder.chmod(0o111)
    try:
        assert read_image(folder / "a.png", LIMITS) == b"a"
    finally:
        folder.chmod(0o755)
