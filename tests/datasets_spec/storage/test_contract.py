"""What every storage promises, held on a local disk and on a real S3 server."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets_spec.errors import StorageError
from datasets_spec.storage import s3_bucket
from datasets_spec.storage.storage import Storage

MIB = 1 << 20


def test_what_was_created_is_read_whole_and_by_ranges(storage: Storage) -> None:
    storage.create("folder/object", b"0123456789")
    assert storage.read("folder/object") == b"0123456789"
    assert storage.read("folder/object", offset=3, length=4) == b"3456"
    assert storage.read("folder/object", offset=8, length=100) == b"89"
    assert storage.read("folder/object", offset=7) == b"789"
    assert storage.read("folder/object", offset=10) == b""
    assert storage.read("folder/object", offset=4, length=0) == b""


def test_an_empty_object_is_one(storage: Storage) -> None:
    storage.create("empty", b"")
    state = storage.state("empty")
    assert state is not None
    assert state.num_bytes == 0
    assert storage.read("empty") == storage.read("empty", length=10) == b""
    with storage.open("empty") as file:
        assert file.read() == b""


def test_what_is_not_there_is_said_alike(storage: Storage) -> None:
    storage.create("folder/object", b"x")
    for key in ("absent", "folder"):
        assert storage.state(key) is None
        assert storage.age_s(key) is None
        with pytest.raises(FileNotFoundError):
            storage.read(key)
        with pytest.raises(FileNotFoundError):
            storage.open(key)
    storage.remove("absent")
    assert storage.children("absent") == ([], [])
    assert not list(storage.objects("absent/"))


def test_an_object_is_created_once(storage: Storage) -> None:
    storage.create("once", b"first")
    with pytest.raises(FileExistsError):
        storage.create("once", b"second")
    with pytest.raises(FileExistsError), storage.writer("once") as file:
        file.write(b"third")
    assert storage.read("once") == b"first"
    storage.remove("once")
    storage.create("once", b"fourth")
    assert storage.read("once") == b"fourth"


def test_an_object_is_replaced_and_its_state_tells(storage: Storage) -> None:
    storage.replace("object", b"old")
    before = storage.state("object")
    storage.replace("object", b"new")
    after = storage.state("object")
    assert storage.read("object") == b"new"
    assert before is not None
    assert after is not None
    # Of the same size and, on a bucket, of the same second.
    assert (before.num_bytes, before.mtime_ns) != (after.num_bytes, after.mtime_ns)
    assert next(iter(storage.objects())) == storage.children()[1][0] == after


def test_objects_are_listed_at_any_depth_or_folder_by_folder(storage: Storage) -> None:
    for key in reversed(["a-b", "a/b/c", "a/d", "a b/ü.png", "b"]):
        storage.create(key, key.encode())
    assert sorted(state.key for state in storage.objects()) == ["a b/ü.png", "a-b", "a/b/c", "a/d", "b"]
    assert sorted(state.key for state in storage.objects("a/")) == ["a/b/c", "a/d"]
    assert [state.num_bytes for state in storage.objects("b")] == [1]
    folders, objects = storage.children()
    assert (folders, [state.key for state in objects]) == (["a", "a b"], ["a-b", "b"])
    assert [state.key for state in storage.children("a")[1]] == ["a/d"]


def test_more_objects_are_listed_than_a_server_answers_at_once(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_bucket, "_NAMES_PER_ANSWER", 3)
    names = [f"many/{number:04d}" for number in range(11)]
    for name in names:
        storage.replace(name, b"x")
    assert sorted(state.key for state in storage.objects("many/")) == names
    assert [state.key for state in storage.children("many")[1]] == names


def test_a_writer_publishes_at_its_end(storage: Storage) -> None:
    with storage.writer("pack") as file:
        file.write(b"abc")
        assert file.tell() == 3
        assert storage.state("pack") is None
        assert not list(storage.objects())
        file.write(b"def")
    assert storage.read("pack") == b"abcdef"


@pytest.mark.parametrize("num_mib", [1, 18])  # below and above a part of S3
def test_a_writer_that_fails_publishes_nothing(storage: Storage, num_mib: int) -> None:
    with pytest.raises(ZeroDivisionError), storage.writer("pack") as file:
        _ = file.write(bytes(num_mib * MIB)) // 0
    assert storage.state("pack") is None
    assert not list(storage.objects())
    assert storage.sweep() == 0


def test_a_large_object_is_written_in_parts_and_read_in_ranges(storage: Storage) -> None:
    block = bytes(range(256)) * 4096
    with storage.writer("large") as file:
        for number in range(34):
            file.write(block[number:])
    whole = b"".join(block[number:] for number in range(34))
    state = storage.state("large")
    assert state is not None
    assert state.num_bytes == len(whole)
    assert storage.read("large", offset=20 * MIB, length=99) == whole[20 * MIB : 20 * MIB + 99]
    with storage.open("large") as opened:
        assert opened.read(7) == whole[:7]
        opened.seek(-5, 2)
        assert opened.read() == whole[-5:]
    with pytest.raises(FileExistsError), storage.writer("large") as file:
        file.write(bytes(17 * MIB))
    assert storage.read("large", length=10) == whole[:10]
    assert storage.sweep() == 0


def test_a_table_is_written_and_read_in_place(storage: Storage) -> None:
    table = pa.table({"number": list(range(1000)), "text": [str(number) for number in range(1000)]})
    with storage.writer("rows.parquet") as file:
        pq.write_table(table, file, row_group_size=100)
    with storage.open("rows.parquet") as file:
        assert pq.ParquetFile(file).read_row_group(7).column("number").to_pylist() == list(range(700, 800))


def test_an_age_is_told_by_the_storages_clock(storage: Storage) -> None:
    storage.create("sign", b"")
    age_s = storage.age_s("sign")
    assert age_s is not None
    assert -2 <= age_s < 60


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\0b"])
def test_a_key_that_climbs_or_is_none_is_refused(storage: Storage, key: str) -> None:
    with pytest.raises(StorageError, match="no usable name"):
        storage.read(key)
    with pytest.raises(StorageError, match="no usable name"):
        storage.create(key, b"")
