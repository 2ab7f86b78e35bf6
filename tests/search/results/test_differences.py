"""Where a stored file differs from the same file computed again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search.results.differences import NOTHING, Tolerance, file_differences, find_difference

STRICT = Tolerance(relative=1e-9, absolute=1e-12)
LATER = Tolerance(relative=1e-3, absolute=5e-3, may_add=True)


def differ(folder: Path, suffix: str, stored: bytes, again: bytes, tolerance: Tolerance) -> str:
    first, second = folder / f"stored{suffix}", folder / f"again{suffix}"
    first.write_bytes(stored)
    second.write_bytes(again)
    return find_difference(first, second, tolerance)


@pytest.mark.parametrize(
    ("again", "strict", "later"),
    [
        (b"a,b\n1,2\n", NOTHING, NOTHING),
        (b"a,b,c\n1,2,3\n", "it has 2 of columns, and computed 3", NOTHING),
        (b"a,c,b\n1,3,2\n", "columns 2 is b, and computed c", "columns 2 is b, and computed c"),
        (b"a,b\n1,2\n3,4\n", "it has 1 of row, and computed 2", "it has 1 of row, and computed 2"),
        (b"a,b\n1,2.001\n", "row 1 b is 2.0, and computed 2.001", NOTHING),
    ],
)
def test_a_later_version_may_add_columns_and_nothing_else(
    tmp_path: Path, again: bytes, strict: str, later: str
) -> None:
    assert differ(tmp_path, ".csv", b"a,b\n1,2\n", again, STRICT) == strict
    assert differ(tmp_path, ".csv", b"a,b\n1,2\n", again, LATER) == later


def test_a_later_version_may_add_names_and_drops_none(tmp_path: Path) -> None:
    few, many = (json.dumps(value).encode() for value in ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}))
    assert differ(tmp_path, ".json", few, many, LATER) == NOTHING
    assert differ(tmp_path, ".json", many, few, LATER) == "a c is there, and computed it is otherwise"
    assert differ(tmp_path, ".json", few, many, STRICT) == "a c is missing, and computed it is otherwise"


def test_every_place_is_told(tmp_path: Path) -> None:
    stored, again = tmp_path / "stored.json", tmp_path / "again.json"
    stored.write_text(json.dumps({"a": [1, 2, 3], "b": {"c": "x"}, "d": 1}))
    again.write_text(json.dumps({"a": [1, 3], "b": {"c": "y"}, "d": 1}))
    assert list(file_differences(stored, again, STRICT)) == [
        "a 2 is 2, and computed 3",
        "it has 3 of a, and computed 2",
        "b c is x, and computed y",
    ]


def test_printed_figures_are_compared_by_their_bytes(tmp_path: Path) -> None:
    printed = b"%PDF-1.7\n%\x80\x80"
    assert differ(tmp_path, ".pdf", printed, printed, STRICT) == NOTHING
    assert "SHA-256" in differ(tmp_path, ".pdf", printed, printed + b"\n", STRICT)
