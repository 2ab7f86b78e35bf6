"""Packs: what goes in comes out, equal images once, nothing half written, nothing damaged unseen."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.errors import StoreError
from datasets_spec.packs import pack_reader
from datasets_spec.packs.image_index import image_key, read_indexes, write_index
from datasets_spec.packs.pack_reader import PackReader
from datasets_spec.packs.pack_writer import INDEX_SUFFIX, PACKS, Extent, PackFile, PackWriter
from datasets_spec.packs.unused import remove_unfinished, remove_unused, write_used


def written(store_dir: Path, images: dict[str, bytes]) -> tuple[PackFile, list[Extent]]:
    (store_dir / PACKS).mkdir(parents=True, exist_ok=True)
    with PackWriter(store_dir / PACKS) as pack:
        places = [pack.append(name, data) for name, data in images.items()]
        finished = pack.finish()
        assert finished is not None
        write_index(store_dir / PACKS, pack.stem, [{"key": bytes(16), "pixel_hash": name} for name in images], finished)
    return finished, places


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=20))
def test_what_goes_in_comes_out_and_equal_images_are_written_once(
    tmp_path_factory: pytest.TempPathFactory, images: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    (folder / PACKS).mkdir()
    with PackWriter(folder / PACKS) as pack:
        places = [pack.append(hashlib.sha256(data).hexdigest(), data) for data in images]
        finished = pack.finish()
    assert finished is not None
    reader = PackReader(folder, [finished.name])
    assert reader.read([(0, place) for place in places]) == images
    data = (folder / PACKS / finished.name).read_bytes()
    assert len(data) == finished.num_bytes == sum(len(image) for image in set(images))
    assert finished.sha256 == hashlib.sha256(data).hexdigest()


def test_a_pack_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with PackWriter(tmp_path) as pack:
        pack.append("a", b"a")
        assert len(list(tmp_path.iterdir())) == 1
    with PackWriter(tmp_path) as pack:
        assert pack.finish() is None
    assert list(tmp_path.iterdir()) == []


def test_no_flipped_byte_of_an_image_is_read_and_a_missing_pack_is_named(tmp_path: Path) -> None:
    pack, places = written(tmp_path, {"a": b"first", "b": b"second"})
    path = tmp_path / PACKS / pack.name
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        damaged = 0 if position < places[1].offset else 1
        reader = PackReader(tmp_path, [pack.name])
        assert reader.read([(0, places[1 - damaged])]) == [(b"first", b"second")[1 - damaged]]
        with pytest.raises(StoreError, match=rf"{pack.name} is damaged at byte {places[damaged].offset}\n"):
            reader.read([(0, places[damaged])])
    path.unlink()
    with pytest.raises(StoreError, match=f"{PACKS}/{pack.name} is missing"):
        PackReader(tmp_path, [pack.name]).read([(0, places[0])])


def test_many_packs_are_read_with_few_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_reader, "_MAX_OPEN", 2)
    packs = [written(tmp_path, {str(number): b"%d" % number}) for number in range(5)]
    reader = PackReader(tmp_path, [pack.name for pack, _ in packs])
    for number in (0, 1, 2, 3, 4, 0, 4, 2):
        assert reader.read([(number, packs[number][1][0])]) == [b"%d" % number]
        assert len(reader._open) <= 2


def test_an_index_is_read_with_its_pack_or_not_at_all(tmp_path: Path) -> None:
    pack, _ = written(tmp_path, {"a": b"first"})
    index = (tmp_path / PACKS / pack.name).with_suffix(INDEX_SUFFIX)
    (found,) = read_indexes(index.parent, [index.stem])
    assert found is not None
    assert found[0].column("pixel_hash").to_pylist() == ["a"]
    assert found[1] == pack == pickle.loads(pickle.dumps(pack))
    assert index.stat().st_mode & 0o777 == 0o600
    whole = index.read_bytes()
    for broken in (b"", whole[: len(whole) // 2], b"x" * len(whole)):
        index.write_bytes(broken)
        assert list(read_indexes(index.parent, [index.stem])) == [None]
    index.write_bytes(whole)
    (tmp_path / PACKS / pack.name).write_bytes(b"firs")
    assert list(read_indexes(index.parent, [index.stem])) == [None]


def test_a_key_changes_with_everything_that_an_image_depends_on() -> None:
    key = image_key("root\0a.png", 1, 2, "v1")
    others = [("root\0b.png", 1, 2, "v1"), ("root\0a.png", 2, 2, "v1"), ("root\0a.png", 1, 3, "v1"),
              ("root\0a.png", 1, 2, "v2"), ("mask root\0a.png", 1, 2, "v1")]  # fmt: skip
    assert len({key, *(image_key(*other) for other in others)}) == 6


def test_packs_go_when_no_generation_names_them(tmp_path: Path) -> None:
    packs = [written(tmp_path, {str(number): b"12345"})[0] for number in range(3)]
    old, new = tmp_path / "generations" / "old", tmp_path / "generations" / "new"
    write_used(old, [packs[0].name, packs[1].name])
    write_used(new, [packs[1].name])
    (tmp_path / PACKS / ".unfinished-x").write_bytes(b"half")
    remove_unfinished(tmp_path, lambda: None)
    assert len(list((tmp_path / PACKS).iterdir())) == 6
    assert remove_unused(tmp_path, [old, new]) > 5
    assert {path.stem for path in (tmp_path / PACKS).iterdir()} == {Path(pack.name).stem for pack in packs[:2]}
    remove_unused(tmp_path, [new])
    assert {path.name for path in (tmp_path / PACKS).iterdir()} == {
        packs[1].name,
        Path(packs[1].name).stem + INDEX_SUFFIX,
    }
