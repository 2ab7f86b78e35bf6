"""Hashes as bytes are sorted, told apart and found as their texts are, also where their first words are equal."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.splits.hashes import codes_in, digests, distinct, from_hex, hex_text, hex_texts, sorted_positions
from datasets_spec.splits.row_table import Lists, spread, starts_of

# Few beginnings, so that many share their first eight bytes and differ later.
HASHES = st.lists(
    st.tuples(st.sampled_from(["00" * 8, "00" * 7 + "01", "ff" * 8]), st.sampled_from(["0", "7", "f"])).map(
        lambda parts: parts[0] + "ab" * 23 + "0" + parts[1]
    ),
    max_size=30,
)


@given(HASHES)
def test_hashes_are_sorted_as_their_texts_are(texts: list[str]) -> None:
    hashes = from_hex(texts)
    assert sorted_positions(hashes).tolist() == sorted(range(len(texts)), key=lambda at: texts[at])
    found = distinct(hashes)
    assert [hex_text(name) for name in hashes[found.first]] == sorted(set(texts))
    assert found.first.tolist() == [texts.index(text) for text in sorted(set(texts))]
    assert [sorted(set(texts))[code] for code in found.codes] == texts
    assert codes_in(hashes[found.first], hashes).tolist() == found.codes.tolist()
    assert [text.decode() for part in hex_texts(hashes) for text in part] == texts


@given(HASHES, st.data())
def test_they_are_sorted_within_numbers(texts: list[str], data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(0, 2), min_size=len(texts), max_size=len(texts)))
    order = sorted_positions(from_hex(texts), within=np.array(numbers, np.int32))
    assert order.tolist() == sorted(range(len(texts)), key=lambda at: (numbers[at], texts[at]))


def test_a_digest_is_that_of_the_text() -> None:
    texts = [hashlib.sha256(bytes([number])).hexdigest() for number in range(5)]
    expected = [hashlib.sha256(f"7\0split\0image:{text}".encode()).digest() for text in texts]
    assert digests(b"7\0split\0image:", from_hex(texts)).tobytes() == b"".join(expected)
    assert len(digests(b"", from_hex([]))) == 0


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=8), st.data())
def test_lists_are_taken_in_any_order(lists: list[list[int]], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(lists))))
    lengths = np.array([len(codes) for codes in lists], np.int64)
    codes = np.array([code for codes in lists for code in codes], np.int32)
    taken = Lists(names=from_hex([]), starts=starts_of(lengths), codes=codes).take(np.array(order, np.int64))
    ends = zip(taken.starts[:-1].tolist(), taken.starts[1:].tolist(), strict=True)
    assert [taken.codes[start:end].tolist() for start, end in ends] == [lists[at] for at in order]
    assert taken.rows.tolist() == [row for row, at in enumerate(order) for _ in lists[at]]


def test_runs_cover_what_follows_each_other() -> None:
    assert spread(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
