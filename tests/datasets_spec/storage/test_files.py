"""Files of a store are the same on a disk and in a bucket: whole or not there, listed by name, gone when removed."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from datasets_spec.storage.files import (
    files_in,
    folders_in,
    names_in,
    put,
    remove_folder,
    replace_file,
    replace_text,
    sizes_below,
)
from datasets_spec.storage.new_file import new_file
from datasets_spec.storage.place import Place, S3Place
from datasets_spec.storage.read_many import Range, read_many
from tests.makers.s3_server import S3Server


@pytest.fixture(params=["local", "s3"], name="storage")
def _storage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(storage: str, tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """An empty folder of each kind."""
    if storage == "local":
        return tmp_path
    server: S3Server = request.getfixturevalue("s3")
    return S3Place(server.bucket, uuid.uuid4().hex)


def test_what_is_written_is_read_listed_and_removed(root: Place) -> None:
    folder = root / "folder"
    assert (files_in(folder), folders_in(folder), sizes_below(folder)) == ({}, [], {})
    folder.mkdir()
    put(folder / "b", b"12345")
    put(folder / "b", b"123")
    replace_text(folder / "ä", "ä")
    replace_file(folder / "deep" / "c", lambda path: path.write_bytes(b"1"))
    assert (folder / "ä").read_text(encoding="utf-8") == "ä"
    assert list(files_in(folder).items()) == [("b", 3), ("ä", 2)]
    assert folders_in(folder) == ["deep"]
    assert sizes_below(folder) == {"b": 3, "ä": 2, "deep/c": 1}
    (folder / "b").unlink()
    (folder / "b").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (folder / "b").read_bytes()
    put(root / "folder-beside", b"")
    remove_folder(folder)
    remove_folder(folder)
    assert sizes_below(root) == {"folder-beside": 0}


def test_a_file_that_gets_its_name_while_it_is_listed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".block.1", "block"):
        (tmp_path / name).write_bytes(b"123")
    scan = os.scandir

    def scan_and_rename(folder: Path) -> list[os.DirEntry[str]]:
        found = list(scan(folder))
        (tmp_path / ".block.1").replace(tmp_path / "block")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", scan_and_rename)
        assert files_in(tmp_path) == {"block": 3}
    assert names_in(tmp_path) == ["block"]
    assert names_in(tmp_path / "absent") == []


def test_a_new_file_is_seen_when_it_is_published_and_not_at_all_when_it_is_abandoned(root: Place) -> None:
    kept, left = new_file(root / "kept"), new_file(root / "left")
    kept.write(b"12")
    left.write(b"34")
    kept.write(b"56")
    assert not (root / "kept").exists()
    kept.publish()
    kept.abandon()
    left.abandon()
    left.abandon()
    assert (root / "kept").read_bytes() == b"1256"
    assert sizes_below(root) == {"kept": 4}


def test_many_objects_come_in_their_order(s3: S3Server) -> None:
    root = S3Place(s3.bucket, uuid.uuid4().hex)
    for number in range(0, 12, 2):
        put(root / str(number), b"number %02d" % number)
    found = list(read_many((Range(root / str(number), 7) for number in range(12)), num_ahead=3))
    assert found == [None if number % 2 else b"%02d" % number for number in range(12)]
    some = read_many((Range(root / "0", 0, length) for length in range(1, 9)), num_ahead=2)
    assert [next(some), next(some)] == [b"n", b"nu"]
    some.close()  # type: ignore[attr-defined]
