"""The window that JSON is read through gives what `json` gives, wherever it happens to be cut."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_spec.errors import ReaderError
from datasets_spec.readers import json_stream
from datasets_spec.readers.json_stream import iter_array, iter_lines
from datasets_spec.readers.records import RowError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(
    items=st.lists(VALUES, max_size=8),
    indent=st.sampled_from([None, 0, 3]),
    chunk=st.integers(1, 64),
    ascii_only=st.booleans(),
    bom=st.booleans(),
)
@settings(max_examples=150)
def test_items_are_those_of_json_for_any_chunk(
    items: list[Any], indent: int | None, chunk: int, ascii_only: bool, bom: bool
) -> None:
    data = json.dumps(items, indent=indent, ensure_ascii=ascii_only).encode("utf-8-sig" if bom else "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK_BYTES", chunk)
        assert list(iter_array(io.BytesIO(data), "f")) == items


@given(items=st.lists(VALUES, min_size=1, max_size=4), cut=st.floats(0, 0.999), chunk=st.integers(1, 32))
def test_a_cut_array_is_refused_after_its_whole_items(items: list[Any], cut: float, chunk: int) -> None:
    data = json.dumps(items).encode()
    found: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK_BYTES", chunk)
        with pytest.raises(ReaderError):
            found.extend(iter_array(io.BytesIO(data[: int(len(data) * cut)]), "f"))
    # A number may lose its tail in the last place; everything before is whole.
    assert found[:-1] == items[: max(0, len(found) - 1)]


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[{"a": 1},\n {"a": nope}]', "f:2:8"),
        ('[{"a": 1}\n\n {"a": 2}]', "f:3:2"),
        ("[1, 2] 3", "f:1:8"),
        ("[1,]", "f:1:4"),
        ('[\n"x\ty"]', "f:2:3"),
    ],
)
def test_faults_are_named_by_line_and_column(
    text: str, place: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", chunk)
    with pytest.raises(ReaderError, match=place + ": "):
        list(iter_array(io.BytesIO(text.encode()), "f"))


def test_a_record_without_end_is_refused_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", 64)
    monkeypatch.setattr(json_stream, "MAX_RECORD_CHARS", 1000)
    file = io.BytesIO(b'["' + b"x" * 100_000)
    with pytest.raises(ReaderError, match="more than 1,000 characters"):
        list(iter_array(file, "f"))
    assert file.tell() < 5000


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_a_number_that_json_has_not_costs_its_record_and_no_other(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", chunk)
    text = '[{"a": 1}, {"a": [1, NaN], "b": "}"}, -Infinity, ' + "9" * 5000 + ', {"a": 2}]'
    found = list(iter_array(io.BytesIO(text.encode()), "f"))
    assert [isinstance(item, RowError) for item in found] == [False, True, True, True, False]
    assert (found[0], found[-1]) == ({"a": 1}, {"a": 2})


def test_lines_stand_for_themselves() -> None:
    data = b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": \n{"a": NaN}\n"\xff"\n{"a": 2, "a": 3}\r\n{"a": 4}'
    found = list(iter_lines(io.BytesIO(data)))
    assert [isinstance(item, RowError) for item in found] == [False, True, True, True, False, False]
    assert found[0] == {"a": 1}
    assert found[5] == {"a": 4}


def test_a_line_without_end_is_one_row_and_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_RECORD_CHARS", 100)
    found = list(iter_lines(io.BytesIO(b"x" * 1000 + b'\n{"a": 1}\n')))
    assert isinstance(found[0], RowError)
    assert found[1:] == [{"a": 1}]


_MEASURE = """
import resource, sys
from pathlib import Path
from datasets_spec.readers import get_reader
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in get_reader("med_mat")(Path(sys.argv[1]), subset="s"))
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    record = json.dumps({"image": "a.png", "Question": "q" * 400, "Answer": "x" * 100})
    path = tmp_path / "f.json"
    with path.open("w") as file:
        file.write("[" + record)
        for _ in range(40_000):
            file.write(",\n" + record)
        file.write("]")
    assert path.stat().st_size > 20e6
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True)
    count, grown_mib = map(int, done.stdout.split())
    assert count == 40_001
    # `json.load` of this file takes some 60 MiB; the window is 1 MiB.
    assert grown_mib < 16
