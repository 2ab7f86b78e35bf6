"""How many slots of a size a node may hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trainers.executors.resources import (
    TrialResources,
    fits_fewer_nodes,
    most_on_node,
    task_options,
    why_none_placed,
)

NODES = [
    {"NodeID": "here", "Resources": {"CPU": 16.0, "GPU": 2.0, "accelerator_type:L4": 1.0}},
    {"NodeID": "there", "Resources": {"CPU": 640.0}},
]


@pytest.mark.parametrize(
    ("resources", "most"),
    [
        (TrialResources(), 16),
        (TrialResources(cpus_per_worker=0.5), 32),
        (TrialResources(gpus_per_worker=0.25), 8),
        (TrialResources(gpus_per_worker=0.25, accelerator="L4"), 8),
        (TrialResources(cpus_per_worker=20), 1),
    ],
)
def test_the_scarcest_resource_decides(monkeypatch: pytest.MonkeyPatch, resources: TrialResources, most: int) -> None:
    import ray

    monkeypatch.setattr(ray, "nodes", lambda: NODES)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "here"))
    assert most_on_node(resources) == most


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (TrialResources(cpus_per_worker=600), "nodes that hold one have other work"),
        (
            TrialResources(cpus_per_worker=999, gpus_per_worker=1),
            "no node there is can hold one (at most 640 CPU, 2 GPU)",
        ),
        (TrialResources(gpus_per_worker=1, num_workers=2), "nodes that hold one have other work"),
        (TrialResources(gpus_per_worker=1, num_workers=4), "the nodes there are hold 2 of a trial's 4 workers"),
    ],
)
def test_why_none_has_a_place(monkeypatch: pytest.MonkeyPatch, wanted: TrialResources, why: str) -> None:
    import ray

    monkeypatch.setattr(ray, "nodes", lambda: [node | {"Alive": True} for node in NODES])
    assert why_none_placed([wanted]).startswith(why)
    assert why_none_placed([wanted, TrialResources()]).startswith("nodes that hold one have other work")


def test_a_task_occupies_what_a_worker_does() -> None:
    slot = TrialResources(cpus_per_worker=4, gpus_per_worker=0.5, accelerator="A100")
    kind = {"accelerator_type:A100": 0.001}
    assert task_options(slot) == {"num_cpus": 4, "num_gpus": 0.5, "resources": kind}
    assert task_options(TrialResources()) == {"num_cpus": 1.0, "num_gpus": 0.0, "resources": {}}


@pytest.mark.parametrize(
    ("one", "other", "is_so"),
    [
        ({"cpus_per_worker": 2}, {"cpus_per_worker": 1}, True),
        ({"cpus_per_worker": 1}, {"cpus_per_worker": 1}, False),
        ({"gpus_per_worker": 1, "accelerator": "A100"}, {"gpus_per_worker": 1}, True),
        ({"gpus_per_worker": 4}, {"gpus_per_worker": 1}, True),
        ({"gpus_per_worker": 4, "accelerator": "L4"}, {"gpus_per_worker": 1, "accelerator": "A100"}, False),
        ({"cpus_per_worker": 2}, {"cpus_per_worker": 1, "gpus_per_worker": 1}, False),
    ],
)
def test_who_is_served_first(one: dict[str, Any], other: dict[str, Any], is_so: bool) -> None:
    assert fits_fewer_nodes(TrialResources(**one), TrialResources(**other)) is is_so
    assert not fits_fewer_nodes(TrialResources(**other), TrialResources(**one))
