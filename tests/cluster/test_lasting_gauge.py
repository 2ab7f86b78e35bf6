from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest

from cluster.lasting_gauge import LastingGauge, Repeater


class RayGauge:
    """In place of Ray's own: what it was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[float, Mapping[str, str]]] = []
        self.was_told = threading.Event()

    def set(self, value: float, tags: Mapping[str, str]) -> None:
        self.told.append((value, tags))
        self.was_told.set()


def test_the_last_value_of_each_series_is_told_again() -> None:
    ray_gauge = RayGauge()
    gauge = LastingGauge(ray_gauge)
    gauge.repeat()
    assert not ray_gauge.told
    for value, tags in ((1, {"state": "busy"}), (2, {"state": "idle"}), (3, {"state": "busy"})):
        gauge.set(value, tags=tags)
    del ray_gauge.told[:]
    gauge.repeat()
    assert ray_gauge.told == [(3, {"state": "busy"}), (2, {"state": "idle"})]


def test_gauges_are_told_again_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.lasting_gauge.REPEAT_S", 0.001)
    ray_gauge = RayGauge()
    gauge = LastingGauge(ray_gauge)
    gauge.set(1)
    repeater = Repeater([gauge])
    ray_gauge.was_told.clear()
    assert ray_gauge.was_told.wait(timeout=60)
    repeater.stop()
    assert {value for value, _ in ray_gauge.told} == {1}
    assert len(ray_gauge.told) > 1
    assert not any(thread.name == "metrics" for thread in threading.enumerate())
