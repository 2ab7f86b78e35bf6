"""Folders as strangers have them: read the same everywhere, and nothing beyond them."""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_spec.errors import ReaderError
from datasets_spec.readers.class_questions import LabelledSubset
from datasets_spec.readers.image_folder import read_rows
from datasets_spec.sample import QuarantinedRow, QuarantineReason, RawSample

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: not name.startswith((".", "__MACOSX")) and len(name.encode()) < 200
)


def make(top: Path, *paths: str) -> Path:
    for path in paths:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).touch()
    return top


def samples(top: Path, **about: Any) -> list[RawSample]:
    rows = list(read_rows(top, subset="s", about=LabelledSubset(**about)))
    assert all(isinstance(row, RawSample) for row in rows), rows
    return [row for row in rows if isinstance(row, RawSample)]


def test_folders_are_classes_and_every_image_below_is_a_record(tmp_path: Path) -> None:
    make(tmp_path, "cyst/b.PNG", "cyst/a.jpg", "cyst/patient 1/scan (2).JPEG", "no_finding/x.dcm")
    rows = samples(tmp_path)
    assert [row.index for row in rows] == [0, 1, 2, 3]
    assert [row.image_paths[0] for row in rows] == [
        "cyst/a.jpg", "cyst/b.PNG", "cyst/patient 1/scan (2).JPEG", "no_finding/x.dcm",
    ]  # fmt: skip
    assert [row.answer for row in rows] == ["cyst", "cyst", "cyst", "no finding"]
    assert all(set(row.options) == {"cyst", "no finding"} and row.label == row.answer for row in rows)
    assert all(row.options[row.answer_index] == row.answer for row in rows)


def test_paths_start_from_the_image_root(tmp_path: Path) -> None:
    make(tmp_path / "set" / "train", "a/1.png", "b/1.png")
    rows = samples(tmp_path / "set" / "train", image_root=tmp_path)
    assert [row.image_paths[0] for row in rows] == ["set/train/a/1.png", "set/train/b/1.png"]
    # Where it lies changes nothing of what is asked.
    assert [(row.question, row.options) for row in rows] == [
        (row.question, row.options) for row in samples(tmp_path / "set" / "train")
    ]
    with pytest.raises(ReaderError, match="lies outside the image root"):
        samples(tmp_path / "set", image_root=tmp_path / "set" / "train")


def test_a_class_of_another_file_is_an_option_too(tmp_path: Path) -> None:
    make(tmp_path / "train", "a/1.png", "b/1.png", "c/1.png")
    make(tmp_path / "test", "A/1.png")
    (row,) = samples(tmp_path / "test", files=(tmp_path / "train", tmp_path / "test"))
    assert sorted(row.options) == ["A", "b", "c"]


def test_a_table_of_file_and_label_is_the_same(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("Filename , Diagnosis,Patient_ID\nx/1.png,0,p1\nx/2.png,2,\n", encoding="utf-8")
    rows = samples(table, class_names={"0": "no retinopathy", "2": "moderate retinopathy"})
    assert [(row.image_paths, row.answer, row.group) for row in rows] == [
        (("x/1.png",), "no retinopathy", "p1"),
        (("x/2.png",), "moderate retinopathy", None),
    ]


def test_a_table_may_leave_the_endings_out(tmp_path: Path) -> None:
    make(tmp_path / "eyes", "0a.png", "0b.JPG", "0c.d.png")
    table = tmp_path / "train.csv"
    table.write_text("id_code,diagnosis\n0a,0\n0b,1\n0c.d,1\n0e,1\n../train,1\n", encoding="utf-8")
    rows = samples(table, image_root=tmp_path / "eyes")
    assert [row.image_paths[0] for row in rows] == ["0a.png", "0b.JPG", "0c.d.png", "0e", "../train"]


def test_a_column_of_ids_is_no_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_spec.readers.image_folder.MOST_CLASSES", 5)
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n" + "".join(f"{number}.png,{number}\n" for number in range(6)), encoding="utf-8")
    with pytest.raises(ReaderError, match="has 6 classes"):
        list(read_rows(table, subset="s"))


def test_labels_may_begin_late_in_a_table(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    unlabelled = "".join(f"{number}.png,\n" for number in range(1001))
    table.write_text(f"file,label\n{unlabelled}x.png,cyst\ny.png,normal\n", encoding="utf-8")
    rows = list(read_rows(table, subset="s"))
    assert [row.answer for row in rows if isinstance(row, RawSample)] == ["cyst", "normal"]
    assert {row.reason.value for row in rows if isinstance(row, QuarantinedRow)} == {"empty_answer"}
    assert len(rows) == 1003


def test_rows_of_a_table_that_cannot_be_used_are_set_aside(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    lines = ["file,label", "1.png,a", ",a", "2.png,", f"3.png,{'x' * 300}", "4.png,b"]
    table.write_text("\n".join(lines), encoding="utf-8")
    rows = list(read_rows(table, subset="s"))
    assert [row.reason.value if isinstance(row, QuarantinedRow) else "" for row in rows] == [
        "", "image_count_mismatch", "empty_answer", "malformed_row", "",
    ]  # fmt: skip
    table.write_text("file,label,question\n1.png,a,which?\n", encoding="utf-8")
    (row,) = read_rows(table, subset="s")
    assert isinstance(row, QuarantinedRow)
    assert "see the format 'table'" in row.detail


@settings(max_examples=25)
@given(
    folders=st.dictionaries(NAMES, st.sets(NAMES, min_size=1, max_size=4), min_size=2, max_size=6), seed=st.integers(0)
)
def test_the_order_of_a_listing_changes_nothing(folders: dict[str, set[str]], seed: int) -> None:
    plain = os.scandir

    class Shuffled:
        def __init__(self, folder: Any) -> None:
            with plain(folder) as entries:
                self.entries = random.Random(seed).sample(found := list(entries), len(found))

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return iter(self.entries)

        def __exit__(self, *error: object) -> None:
            pass

    with tempfile.TemporaryDirectory() as folder:
        try:
            make(Path(folder), *(f"{name}/{file}.png" for name, files in folders.items() for file in files))
        except OSError:
            return  # a name that this file system does not take
        found = _read_or_refused(Path(folder))
        with patch("os.scandir", Shuffled):
            assert _read_or_refused(Path(folder)) == found
    if isinstance(found, list):
        assert len(found) == sum(map(len, folders.values()))
        assert [row.index for row in found] == list(range(len(found)))


def _read_or_refused(top: Path) -> list[RawSample | QuarantinedRow] | str:
    try:
        return list(read_rows(top, subset="s"))
    except ReaderError as error:  # two spellings of one class
        return error.message


def test_what_computers_leave_in_folders_is_no_record(tmp_path: Path) -> None:
    make(tmp_path, "a/1.png", "b/1.png", ".DS_Store", "a/.DS_Store", "a/Thumbs.db", "a/._1.png", "b/notes.txt")
    make(tmp_path, ".git/x/1.png", "__MACOSX/a/1.png", ".ipynb_checkpoints/1.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes only").mkdir()
    make(tmp_path, "notes only/read me.txt")
    assert [row.image_paths[0] for row in samples(tmp_path)] == ["a/1.png", "b/1.png"]
    # An option that is never right would tell itself from the others.
    assert {option for row in samples(tmp_path) for option in row.options} == {"a", "b"}


def test_hostile_names_are_read_as_they_are(tmp_path: Path) -> None:
    make(
        tmp_path,
        "with\nnewline/1 (2).png",
        "größe µ/日本.png",
        "e\u0301tat/1.png",
        " spaces /1.png",
        "{picture}/%s.png",
    )
    rows = samples(tmp_path)
    assert {row.answer for row in rows} == {"with newline", "größe µ", "état", "spaces", "{picture}"}
    assert all((tmp_path / row.image_paths[0]).exists() for row in rows)


@pytest.mark.parametrize(
    ("closed", "told"),
    [
        ("cyst", "the folder {top}/cyst"),
        ("cyst/DOE_JOHN", "a folder in {top}/cyst"),
        ("cyst/DOE_JOHN/2", "a folder in"),
    ],
)
def test_a_folder_that_cannot_be_listed_is_told_by_its_class(tmp_path: Path, closed: str, told: str) -> None:
    make(tmp_path, "cyst/DOE_JOHN/2/1.png", "stone/1.png")
    plain = os.scandir

    def scandir(folder: Any) -> Any:
        if Path(folder) == tmp_path / closed:
            raise PermissionError(13, "Permission denied")
        return plain(folder)

    with patch("os.scandir", scandir), pytest.raises(ReaderError) as caught:
        samples(tmp_path)
    assert caught.value.message.startswith(f"cannot read {told.format(top=tmp_path)}")
    assert caught.value.message.endswith(": Permission denied")
    assert "DOE" not in str(caught.value)


def test_a_name_that_is_no_text_is_set_aside(tmp_path: Path) -> None:
    make(tmp_path, "a/1.png", "b/1.png")
    try:
        (tmp_path / "b" / os.fsdecode(b"\xff.png")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    *_, last = read_rows(tmp_path, subset="s")
    assert isinstance(last, QuarantinedRow)
    assert last.reason == QuarantineReason.malformed_row


def test_links_are_followed_inside_and_never_out(tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", "x/1.png")
    top = make(tmp_path / "root" / "set", "a/1.png", "b/1.png")
    make(tmp_path / "root" / "shared", "2.png")
    (top / "b" / "more").symlink_to(tmp_path / "root" / "shared")
    (top / "b" / "out").symlink_to(outside / "x")
    (top / "b" / "self").symlink_to(top / "b")
    (top / "stolen").symlink_to(outside)
    (top / "c").symlink_to(tmp_path / "nowhere")
    rows = list(read_rows(top, subset="s", about=LabelledSubset(image_root=tmp_path / "root")))
    told = [row.detail if isinstance(row, QuarantinedRow) else row.image_paths[0] for row in rows]
    assert told == [
        "set/a/1.png", "set/b/1.png", "set/b/more/2.png", "a linked folder", "a linked folder leads back to itself",
        "a linked folder",
    ]  # fmt: skip
    reasons = Counter(row.reason for row in rows if isinstance(row, QuarantinedRow))
    assert reasons == {QuarantineReason.path_outside_root: 2, QuarantineReason.malformed_row: 1}
    assert {option for row in rows if isinstance(row, RawSample) for option in row.options} == {"a", "b"}


def test_a_folder_that_is_itself_a_link_out_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "outside", "a/1.png", "b/1.png")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "set").symlink_to(tmp_path / "outside")
    with pytest.raises(ReaderError, match="lies outside the image root"):
        samples(tmp_path / "root" / "set", image_root=tmp_path / "root")


def test_an_image_beside_the_classes_is_set_aside(tmp_path: Path) -> None:
    make(tmp_path, "a/1.png", "b/1.png", "c.png")
    *_, row = read_rows(tmp_path, subset="s")
    assert isinstance(row, QuarantinedRow)
    assert row.detail == "lies in no folder of a class"


def test_too_deep_a_folder_is_set_aside(tmp_path: Path) -> None:
    make(tmp_path, "a/1.png", "b/" + "x/" * 20 + "1.png", "b/1.png")
    rows = list(read_rows(tmp_path, subset="s"))
    assert [isinstance(row, QuarantinedRow) for row in rows] == [False, False, True]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a/1.png"], "one class only"),
        (["Normal/1.png", "normal/1.png", "_normal/2.png"], "one class only"),
        (["a/1.png", "empty/notes.txt"], "one class only"),
        (["1.png"], "no image in a folder of its class"),
        (["a/1.txt"], "no image in a folder of its class"),
        (["train/a/1.png", "test/a/1.png"], "holds splits"),
    ],
)
def test_folders_without_a_question_in_them_are_refused(paths: list[str], message: str, tmp_path: Path) -> None:
    make(tmp_path, *paths)
    with pytest.raises(ReaderError, match=message):
        list(read_rows(tmp_path, subset="s"))


def test_a_misspelt_class_name_is_no_option_that_is_never_right(tmp_path: Path) -> None:
    make(tmp_path, "normal/1.png", "cyst/1.png")
    with pytest.raises(ReaderError, match=r"no class 'nromal', which class_names names\. Did you mean 'normal'"):
        samples(tmp_path, class_names={"nromal": "no finding", "cyst": "a cyst"})
    named = {"normal": "no finding", "cyst": "a cyst", "tumour": "a tumour"}
    assert all(len(row.options) == 3 for row in samples(tmp_path, class_names=named))


def test_classes_that_the_catalog_names_are_options(tmp_path: Path) -> None:
    make(tmp_path, "a/1.png")
    (row,) = samples(tmp_path, class_names={"a": "cyst", "b": "tumour"})
    assert (sorted(row.options), row.answer) == (["cyst", "tumour"], "cyst")
