"""Images of a bucket's packs are read in few requests, each whole, and what lies between them stays small."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.errors import StoreError
from datasets_spec.packs import neighbours, pack_reader
from datasets_spec.packs.neighbours import MAX_GAP_BYTES, MAX_RUN_BYTES, runs_of
from datasets_spec.packs.pack_reader import PackReader
from datasets_spec.packs.pack_writer import PACKS, Extent, PackWriter
from datasets_spec.packs.unused import remove_unused, write_used
from datasets_spec.storage.files import sizes_below
from datasets_spec.storage.place import S3Place
from datasets_spec.storage.read_many import Range, read_many
from tests.makers.s3_server import S3Server

EXTENTS = st.builds(Extent, st.integers(0, 5_000_000), st.integers(1, 600_000), st.just(0))


@given(st.lists(st.tuples(st.integers(0, 2), EXTENTS), max_size=40))
def test_every_image_lies_whole_in_one_run_and_no_run_is_wasteful(wanted: list[tuple[int, Extent]]) -> None:
    runs = list(runs_of(wanted))
    assert sorted(number for run in runs for number in run.members) == list(range(len(wanted)))
    for run in runs:
        extents = [wanted[number][1] for number in run.members]
        assert {wanted[number][0] for number in run.members} == {run.pack}
        assert run.start == extents[0].offset
        assert run.stop == max(extent.offset + extent.num_bytes for extent in extents)
        assert run.stop - run.start <= MAX_RUN_BYTES or len(run.members) == 1
        end = run.start
        for extent in extents:
            assert extent.offset - end <= MAX_GAP_BYTES
            end = max(end, extent.offset + extent.num_bytes)


def test_images_of_a_bucket_come_as_they_were_written(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MAX_GAP_BYTES", 100)
    store_dir = S3Place(s3.bucket, uuid.uuid4().hex)
    images = [b"%04d" % number * 25 for number in range(40)]
    packs = []
    for half in (images[:20], images[20:]):
        with PackWriter(store_dir / PACKS) as pack:
            extents = [pack.append(str(number), data) for number, data in enumerate(half)]
            assert pack.append("3", b"is not looked at: it is there") == extents[3]
            finished = pack.finish()
            assert finished is not None
            packs.append((finished.name, extents))
    with PackWriter(store_dir / PACKS) as pack:
        pack.append("a", b"never finished")
    assert sizes_below(store_dir) == {f"{PACKS}/{name}": 2000 for name, _ in packs}

    asked: list[Range] = []

    def counted(ranges: Iterable[Range], **how: Any) -> Any:
        listed = list(ranges)
        asked.extend(listed)
        return read_many(listed, **how)

    monkeypatch.setattr(pack_reader, "read_many", counted)
    reader = PackReader(store_dir, [name for name, _ in packs])
    chosen = [(1, 3), (0, 0), (0, 2), (0, 1), (0, 9), (1, 3)]
    found = reader.read([(pack, packs[pack][1][number]) for pack, number in chosen])
    assert found == [images[20 * pack + number] for pack, number in chosen]
    assert [(one.offset, one.length) for one in asked] == [(0, 300), (900, 100), (300, 100)]
    with pytest.raises(StoreError, match="is damaged at byte 100"):
        reader.read([(0, Extent(100, 100, zlib.crc32(b"another")))])
    generation = store_dir / "generations" / "0000000001-a"
    write_used(generation, [packs[0][0]])
    assert remove_unused(store_dir, [generation]) == 2000
    with pytest.raises(StoreError, match=rf"{PACKS}/{packs[1][0]} is missing"):
        reader.read([(1, packs[1][1][0])])
