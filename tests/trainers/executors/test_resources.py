"""How many slots of a size a node may hold."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from trainers.executors.resources import TrialResources, most_on_node

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
