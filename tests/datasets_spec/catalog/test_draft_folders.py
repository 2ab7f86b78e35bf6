"""The layouts of classification sets, found; what only looks like one, not."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets_spec.catalog.draft_folders import find_folders


def found(top: Path, *paths: str) -> dict[str, tuple[list[str], list[str]]]:
    for path in paths:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).touch()
    return {
        guess.place.relative_to(top).as_posix(): (
            [folder.relative_to(top).as_posix() for folder in guess.folders],
            list(guess.classes),
        )
        for guess in find_folders(top)
    }


@pytest.mark.parametrize(
    ("paths", "folders"),
    [
        (["a/1.jpg", "b/1.JPG"], {".": ["."]}),
        (["train/a/1.jpg", "train/b/1.jpg"], {".": ["train"]}),
        (["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "test/b/1.jpg"], {".": ["test", "train", "val"]}),
        (["Training/a/1.jpg", "Training/b/1.jpg", "Testing/a/1.jpg"], {".": ["Testing", "Training"]}),
        (["x/a/1.png", "x/b/1.png", "y/train/a/1.png", "y/train/b/1.png"], {"x": ["x"], "y": ["y/train"]}),
        (["a/1.jpg", "b/1.jpg", ".git/c/1.jpg", "__MACOSX/d/1.jpg", "notes/read.txt"], {".": ["."]}),
    ],
)
def test_usual_layouts_are_found(paths: list[str], folders: dict[str, list[str]], tmp_path: Path) -> None:
    layouts = found(tmp_path, *paths)
    assert {place: members for place, (members, _) in layouts.items()} == folders
    assert all(classes == ["a", "b"] for _, classes in layouts.values())


@pytest.mark.parametrize(
    "paths",
    [
        ["1.jpg", "2.jpg"],
        ["images/1.png", "masks/1.png"],
        ["train/images/1.png", "train/labels/1.txt", "val/images/1.png"],
        ["train/1.jpg", "test/1.jpg"],
        ["all/1.jpg"],
        ["train/a/1.jpg", "test/a/1.jpg"],
    ],
)
def test_other_folders_are_no_classes(paths: list[str], tmp_path: Path) -> None:
    assert not found(tmp_path, *paths)


def test_folders_of_patients_below_classes_are_no_classes(tmp_path: Path) -> None:
    paths = [f"set/{label}/p{patient}/{patient}.png" for label in ("benign", "malignant") for patient in range(3)]
    assert found(tmp_path, *paths) == {"set": (["set"], ["benign", "malignant"])}


def test_folders_of_patients_are_doubted(tmp_path: Path) -> None:
    found(tmp_path, "p0001/1.png", "p0002/1.png")
    (guess,) = find_folders(tmp_path)
    assert guess.surety == "doubtful"
    assert guess.looks_like_patients


def test_links_are_not_followed(tmp_path: Path) -> None:
    found(tmp_path, "outside/c/1.png", "top/a/1.png", "top/b/1.png")
    (tmp_path / "top" / "c").symlink_to(tmp_path / "outside" / "c")
    (guess,) = find_folders(tmp_path / "top")
    assert guess.classes == ("a", "b")
