"""The slot with the least memory decides: by its share of a card, and by the nodes that have its kind of card."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from search.engine import gpu_cards
from search.engine.gpu_cards import GpuNode, judge_rooms, least_room_gib, smallest_card_gib
from trainers.executors.resources import TrialResources

A100 = GpuNode(kinds=frozenset({"GPU", "accelerator_type:A100"}), card_gib=80.0)
L4 = GpuNode(kinds=frozenset({"GPU", "accelerator_type:L4"}), card_gib=24.0)


def slot(gpus: float, accelerator: str | None = None) -> TrialResources:
    return TrialResources(gpus_per_worker=gpus, accelerator=accelerator)


@pytest.mark.parametrize(
    ("slots", "nodes", "room_gib"),
    [
        ([slot(1)], [A100, L4], 24.0),
        ([slot(0.5)] * 2, [A100], 40.0),
        ([slot(2)], [A100], 80.0),
        ([slot(1, "A100")], [A100, L4], 80.0),
        ([slot(0.25, "A100"), slot(1, "L4")], [A100, L4], 20.0),
        ([slot(1, "A100"), slot(0.5, "L4")], [A100, L4], 12.0),
        ([slot(1, "A100"), slot(1, "L4")], [A100], None),
        ([slot(1)], [], None),
    ],
)
def test_the_least_room_of_all_slots(slots: list[TrialResources], nodes: list[GpuNode], room_gib: float | None) -> None:
    assert judge_rooms(slots, nodes) == room_gib


def test_what_nvidia_smi_tells_is_read() -> None:
    assert smallest_card_gib("81920, Disabled\n24576, [N/A]\n") == 24.0
    for told in ("", "81920, Enabled\n", "[N/A], [N/A]\n"):
        with pytest.raises(ValueError):
            smallest_card_gib(told)


def test_nodes_that_fail_or_are_late_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    well, broken, late, without = ("0a" * 28, "1b" * 28, "2c" * 28, "3d" * 28)
    started: list[dict[str, Any]] = []

    def remote(**options: Any) -> Any:
        started.append(options)
        return lambda task: SimpleNamespace(remote=lambda: options["scheduling_strategy"].node_id)

    def get(reference: str) -> float:
        if reference == broken:
            raise ray.exceptions.RayError("no nvidia-smi")
        return 24.0

    nodes = [{"Alive": True, "NodeID": name, "Resources": {"GPU": 1.0}} for name in (well, broken, late)]
    monkeypatch.setattr(ray, "nodes", lambda: [*nodes, {"Alive": True, "NodeID": without, "Resources": {"CPU": 1.0}}])
    monkeypatch.setattr(ray, "remote", remote)
    monkeypatch.setattr(ray, "wait", lambda asked, **options: ([well, broken], [late]))
    monkeypatch.setattr(ray, "get", get)
    cancelled: list[str] = []
    monkeypatch.setattr(ray, "cancel", cancelled.append)
    assert least_room_gib([slot(0.5)]) == 12.0
    assert cancelled == [late]
    assert [options["num_gpus"] for options in started] == [0, 0, 0]  # taken cards answer too
    monkeypatch.setattr(gpu_cards, "_ask_nodes", list)
    assert least_room_gib([slot(0.5)]) is None
