from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.storage.range_file import RangeFile

STEPS = st.lists(st.tuples(st.sampled_from(["read", "seek", "end", "line"]), st.integers(0, 40)), max_size=12)


@given(content=st.binary(max_size=60).map(lambda data: data.replace(b"\x00", b"\n")), steps=STEPS)
def test_a_file_of_ranges_reads_as_one_in_memory(content: bytes, steps: list[tuple[str, int]]) -> None:
    ranged = io.BufferedReader(RangeFile(lambda at, num: content[at : at + num], len(content)), 8)
    plain = io.BytesIO(content)
    for step, number in steps:
        if step == "read":
            assert ranged.read(number) == plain.read(number)
        elif step == "line":
            assert ranged.readline() == plain.readline()
        elif step == "seek":
            assert ranged.seek(number) == plain.seek(number)
        else:
            back = min(number, len(content))
            assert ranged.seek(-back, 2) == plain.seek(-back, 2)
    assert ranged.read() == plain.read()
