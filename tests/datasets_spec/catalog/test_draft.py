from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.catalog.draft import draft_catalog
from datasets_spec.catalog.draft_files import guess_file
from datasets_spec.errors import SpecError, UserError
from tests.makers.corpus import mat_record, save_picture, write_json
from tests.makers.formats import FORMAT_CASES, write_records

CASES = [(name, suffix) for name, case in FORMAT_CASES.items() for suffix in case.suffixes]


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_every_format_is_recognised_with_its_image_folder(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "questions" / f"train{suffix}"
    path.parent.mkdir()
    records = [FORMAT_CASES[name].record(index, f"scan/{index}.png", index % 3) for index in range(12)]
    for index in range(12):
        save_picture(tmp_path / "pictures" / "scan" / f"{index}.png", index)
    write_records(path, records)
    guess = guess_file(path, tmp_path)
    assert guess is not None
    # A table with one column an option is no Med-MAT file, and the other way round.
    assert guess.format == name
    assert guess.image_root == tmp_path / "pictures"
    assert (guess.num_read, guess.num_closed, guess.num_found) == (12, 12, 12)
    assert guess.surety == "sure"


def test_a_draft_loads_once_its_empty_fields_are_filled_in(tmp_path: Path) -> None:
    records = [mat_record(index, f"{index}.png", index % 3) for index in range(12)]
    for index in range(11):
        save_picture(tmp_path / "img" / f"{index}.png", index)
    write_json(tmp_path / "CT lung" / "train.json", records[:10])
    write_json(tmp_path / "CT lung" / "test.json", records[10:])
    (tmp_path / "notes.json").write_text('{"about": "this"}')
    draft = draft_catalog(tmp_path)
    assert [path.name for path in draft.unread] == ["notes.json"]
    assert sorted(guess.surety for guess in draft.guesses) == ["doubtful", "sure"]
    path = tmp_path / "catalog.yaml"
    path.write_text(draft.text)
    with pytest.raises(SpecError, match=r"catalog.yaml:\d+:\d+: subsets.0.task"):
        load_catalog(path)
    path.write_text(draft.text.replace("task:  # fill in", "task: Staging"))
    (subset,) = load_catalog(path).spec.subsets
    assert (subset.modality, subset.area, subset.task, subset.format) == ("CT", "Lung", "Staging", "med_mat")
    assert (subset.pool, subset.test) == (("CT lung/train.json",), ("CT lung/test.json",))
    assert load_catalog(path).image_root(subset.name) == tmp_path / "img"


def test_what_cannot_be_drafted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        draft_catalog(tmp_path / "none")
    with pytest.raises(UserError, match="no folder holds images by class"):
        draft_catalog(tmp_path)
    (tmp_path / "a.json").write_text("[1, 2]")
    with pytest.raises(UserError, match="no file in"):
        draft_catalog(tmp_path)


def test_images_beside_the_folder_of_the_questions_are_found(tmp_path: Path) -> None:
    records = [FORMAT_CASES["table"].record(index, f"{index}.png", index % 3) for index in range(12)]
    for index in range(12):
        save_picture(tmp_path / "pictures" / "ct" / f"{index}.png", index)
    top = tmp_path / "annotations"
    top.mkdir()
    write_records(top / "all.csv", records)
    path = tmp_path / "catalogs" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(draft_catalog(top, path.parent).text.replace(":  # fill in", ": X  # fill in"))
    catalog = load_catalog(path)
    assert Path(str(catalog.image_root("all"))).resolve() == tmp_path / "pictures" / "ct"
    assert (catalog.base_dir / catalog.subset("all").pool[0]).resolve() == top / "all.csv"


def test_folders_of_classes_are_drafted_for_a_catalog_anywhere(tmp_path: Path) -> None:
    top = tmp_path / "data" / 'brain "mri" \u2028\n\U0001f9e0'
    for number, place in enumerate(["train/glioma", "train/no tumor", "val/glioma", "test/glioma", "test/no tumor"]):
        save_picture(top / place / f"{number}.png", number)
    save_picture(top / "other" / "0" / "1.png", 7)
    save_picture(top / "other" / "1" / "1.png", 8)
    path = tmp_path / "catalogs" / "mine.yaml"
    path.parent.mkdir()
    draft = draft_catalog(top, path.parent)
    assert [found.place for found in draft.folders] == [top, top / "other"]
    path.write_text(draft.text)
    catalog = load_catalog(path)
    subset, graded = catalog.spec.subsets
    assert (subset.modality, subset.area, subset.task) == ("MRI", "Brain", "Tumor Classification")
    folders = [(catalog.base_dir / file).resolve().relative_to(top).as_posix() for file in (*subset.pool, *subset.test)]
    assert folders == ["train", "val", "test"]
    assert Path(str(catalog.image_root(subset.name))).resolve() == top
    assert (graded.format, graded.task) == ("image_folder", "Level Identification")
    assert "# likely: 'mri' is in the path" in draft.text
    assert "# doubtful: the classes are numbers" in draft.text
    assert 'class_names: {"0": , "1": }' in draft.text


def test_folders_whose_images_a_table_names_are_the_tables(tmp_path: Path) -> None:
    for number in range(4):
        save_picture(tmp_path / "ab"[number % 2] / f"{number}.png", number)
    lines = ["file,label"] + [f"{'ab'[number % 2]}/{number}.png,{number % 2}" for number in range(4)]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    draft = draft_catalog(tmp_path)
    assert not draft.folders
    (guess,) = draft.guesses
    assert (guess.format, guess.classes, guess.num_found) == ("image_folder", ("0", "1"), 4)


def test_a_test_set_alone_is_told_how_to_be_a_target(tmp_path: Path) -> None:
    for number in range(4):
        save_picture(tmp_path / "test" / "ab"[number % 2] / f"{number}.png", number)
    text = draft_catalog(tmp_path).text
    assert 'test: ["test"]' in text
    assert "# shares: {train: 0, search: 0.3, confirm: 0.3, sealed: 0.4}" in text


def test_boxes_are_drafted_with_their_form(tmp_path: Path) -> None:
    save_picture(tmp_path / "1.png", 1)
    (tmp_path / "a.csv").write_text('image,question,bbox\n1.png,Where is it?,"[0.1, 0.2, 0.5, 0.5]"\n')
    assert (
        "    box_form: corners_fractions  # likely: every number lies between 0 and 1" in draft_catalog(tmp_path).text
    )


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=9), min_size=3))
def test_whatever_folders_are_called_the_draft_names_them(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        top = Path(root) / f"_{names[0]}"
        for number, name in enumerate(names[1:]):
            save_picture(top / "set" / f"_{name}" / f"{number}.png", number)
        if len(list((top / "set").iterdir())) < 2:
            return
        drafted = yaml.safe_load(draft_catalog(top, Path(root)).text)
        assert drafted["name"] == top.name
        assert [Path(root) / file for subset in drafted["subsets"] for file in subset["pool"]] == [top / "set"]


def test_a_draft_of_a_part_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for label in ("a", "b"):
        save_picture(tmp_path / label / "1.png", 1)
    assert "# only the first" not in draft_catalog(tmp_path).text
    monkeypatch.setattr("datasets_spec.catalog.draft.MAX_FOLDERS_VISITED", 2)
    assert "# only the first 2 folders were looked into" in draft_catalog(tmp_path).text


def test_a_folder_named_by_a_relative_path_is_drafted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for label in ("a", "b"):
        save_picture(tmp_path / "set" / label / "1.png", 1)
    for here, top in (("set", "."), (".", "set"), ("set/a", "..")):
        monkeypatch.chdir(tmp_path / here)
        drafted = yaml.safe_load(draft_catalog(Path(top)).text)
        assert drafted["name"] == "set"
        assert [(subset["name"], subset["pool"]) for subset in drafted["subsets"]] == [("set", ["."])]


@pytest.mark.parametrize("path", ["/data/1.png", "C:\\\\data\\\\1.png", "~/1.png"])
def test_absolute_paths_are_said_to_be_the_fault(path: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"file,label\n{path},a\n{path},b\n")
    assert "which are absolute, relative to that folder" in draft_catalog(tmp_path).text
