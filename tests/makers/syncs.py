"""What a process forces to the disk, by path and in order (Linux)."""

from __future__ import annotations

import os

import pytest


def record_syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns a list that every later fsync of this process adds its path to."""
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return synced
