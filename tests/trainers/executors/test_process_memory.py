"""Growth is what a process keeps to itself, counted from its first work on."""

from __future__ import annotations

import mmap
import sys

import pytest

from trainers.executors import process_memory
from trainers.executors.process_memory import MemoryGrowth, private_memory_gib

MIB = 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells shared memory apart")
def test_shared_memory_is_no_growth_and_private_memory_is() -> None:
    before = private_memory_gib()
    assert before is not None
    with mmap.mmap(-1, 96 * MIB) as shared:  # as Ray's object store is mapped
        shared[:] = b"x" * len(shared)
        seen = private_memory_gib()
        assert seen is not None
        assert seen - before < 32 / 1024
        # Mapped too: what `malloc` gives may be memory that this process has freed and kept.
        with mmap.mmap(-1, 96 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as own:
            own[:] = b"x" * len(own)
            grown = private_memory_gib()
            assert grown is not None
            assert grown - before > 64 / 1024


def test_what_the_first_work_takes_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([1.0, 9.0, 10.9, 11.0, 11.0])
    monkeypatch.setattr(process_memory, "private_memory_gib", lambda: next(readings))
    growth = MemoryGrowth()
    assert not growth.is_too_much()  # 1 GiB before any work
    growth.begin()  # 9 GiB after it
    assert not growth.is_too_much()
    growth.begin()  # later work changes nothing
    assert growth.is_too_much()  # 11 GiB
    assert not growth.is_too_much(0.5)  # of which half a GiB is kept on purpose


def test_a_system_that_does_not_say_ends_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_memory, "private_memory_gib", lambda: None)
    growth = MemoryGrowth()
    growth.begin()
    assert not growth.is_too_much()
