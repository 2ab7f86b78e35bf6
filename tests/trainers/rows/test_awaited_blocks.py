"""Blocks on their way are awaited, those that lie nowhere are not; real nodes: tests/cluster/nodes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest

from trainers.rows import shared_blocks
from trainers.rows.shared_blocks import Piece, read_pieces
from trainers.trial.failures import RowsAwayError

PLACE = ("a", "train")
PARTS = {PLACE: [Piece(block="small", num_rows=1), Piece(block="large", num_rows=2)]}
TABLES = {"small": pa.table({"x": [1]}), "large": pa.table({"x": [2, 3]})}


class Store:
    """Ray's object store as a slot sees it: a small block is here and known on no node, a large one is not here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, nodes_of_large: Sequence[str]) -> None:
        import ray

        self.is_here = threading.Event()
        self.num_looks = self.num_requests = 0
        self._nodes_of_large = nodes_of_large
        monkeypatch.setattr(shared_blocks, "BEAT_S", 0.01)
        monkeypatch.setattr(shared_blocks, "ROWS_WAIT_S", 0.05)
        monkeypatch.setattr(ray, "get", self._get)
        monkeypatch.setattr(ray, "wait", lambda blocks, **options: (["small"], ["large"]))
        monkeypatch.setattr(ray.experimental, "get_object_locations", self._locations)

    def _get(self, blocks: Sequence[str]) -> list[Any]:
        self.num_requests += 1
        self.is_here.wait()
        return [TABLES[block] for block in blocks]

    def _locations(self, blocks: Sequence[str]) -> dict[str, Any]:
        self.num_looks += 1
        if self.num_looks == 3:
            self.is_here.set()
        return {block: {"node_ids": self._nodes_of_large if block == "large" else []} for block in blocks}


@pytest.fixture
def threads_end() -> Iterator[list[Store]]:
    stores: list[Store] = []
    yield stores
    for store in stores:
        store.is_here.set()


def test_what_travels_slowly_is_awaited(monkeypatch: pytest.MonkeyPatch, threads_end: list[Store]) -> None:
    store = Store(monkeypatch, nodes_of_large=["b"])
    threads_end.append(store)
    beats: list[None] = []
    found = read_pieces(PARTS, PLACE, None, lambda: beats.append(None))
    assert found["x"].to_pylist() == [1, 2, 3]
    assert store.num_requests == 1  # another would begin to bring them anew
    assert len(beats) >= store.num_looks >= 3


def test_what_lies_nowhere_is_not(monkeypatch: pytest.MonkeyPatch, threads_end: list[Store]) -> None:
    threads_end.append(Store(monkeypatch, nodes_of_large=[]))
    with pytest.raises(RowsAwayError, match="went with a node"):
        read_pieces(PARTS, PLACE, None)


def test_what_ray_gives_up_is_no_failure_of_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def lost(blocks: Sequence[str]) -> None:
        raise ray.exceptions.ObjectReconstructionFailedError("a" * 28, "owner", "call site")

    monkeypatch.setattr(ray, "get", lost)
    with pytest.raises(RowsAwayError, match="does not encode them anew: ObjectReconstructionFailedError"):
        read_pieces(PARTS, PLACE, None)


def test_who_has_to_leave_waits_no_longer(monkeypatch: pytest.MonkeyPatch, threads_end: list[Store]) -> None:
    def leave() -> None:
        raise InterruptedError

    threads_end.append(Store(monkeypatch, nodes_of_large=["b"]))
    with pytest.raises(InterruptedError):
        read_pieces(PARTS, PLACE, None, leave)
