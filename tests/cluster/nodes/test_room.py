"""What no node can hold is said at once; what waits is said, and waits."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.errors import ClusterError
from cluster.nodes import room
from cluster.nodes.room import await_nodes, judge_room, require_room, tells_of_no_autoscaler
from tests.makers.ray_head import HeadNode

SMALL, GPU = {"CPU": 4.0, "memory": 1e9}, {"CPU": 8.0, "GPU": 2.0}


def test_all_have_room() -> None:
    assert judge_room({"CPU": 2.0}, 6, [SMALL, GPU], []) is None
    assert judge_room({"CPU": 2.0, "GPU": 1.0}, 2, [SMALL, GPU], []) is None
    assert judge_room({"CPU": 1.0, "GPU": 0.5}, 4, [GPU], []) is None


def test_some_wait_and_it_is_said() -> None:
    told = judge_room({"CPU": 4.0, "GPU": 1.0}, 5, [SMALL, GPU], [])
    assert told == "slots: 2 of 5 have room on the cluster as it is (4 CPU and 1 GPU each); the others wait for nodes"
    told = judge_room({"GPU": 1.0}, 5, [SMALL], [GPU])
    assert told == "slots: 0 of 5 have room on the cluster as it is (1 GPU each); the autoscaler is asked for more"


@pytest.mark.parametrize("to_come", [[], [SMALL]])
def test_what_no_node_can_hold_is_refused(to_come: list[dict[str, float]]) -> None:
    with pytest.raises(ClusterError, match="needs 16 CPU and 1 GPU, and nodes have at most 8 CPU and 2 GPU") as caught:
        judge_room({"CPU": 16.0, "GPU": 1.0}, 1, [SMALL, GPU], to_come)
    assert "execution.cpus_per_worker" in str(caught.value.hint)
    with pytest.raises(ClusterError, match="at most 0 GPU"):
        judge_room({"GPU": 1.0}, 1, [], [])


def status(*kinds: str) -> bytes:
    """What Ray's monitor writes of the nodes it has."""
    return json.dumps({"autoscaler_report": {"active_nodes": dict.fromkeys(kinds, 1), "pending_nodes": []}}).encode()


def test_only_a_monitor_without_a_configuration_says_that_no_node_will_come() -> None:
    assert tells_of_no_autoscaler(status(f"node_{'0a' * 28}", f"node_{'1b' * 28}"))
    for kinds in (("ray.head.default",), ("head-group", "gpu-spot"), ("node_gpu",), ()):
        assert not tells_of_no_autoscaler(status(*kinds))
    assert not tells_of_no_autoscaler(b'{"time": 1.0}')


@pytest.mark.parametrize(
    ("nodes", "written", "is_refused"),
    [
        ([{"memory": 1e9}], status(f"node_{'0a' * 28}"), False),  # the head alone, which holds no slot
        ([SMALL], status("head-group"), False),
        ([SMALL], None, False),  # the second autoscaler
        ([SMALL], status(f"node_{'0a' * 28}"), True),
    ],
)
def test_a_study_that_an_autoscaler_may_make_room_for_waits(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, float]], written: bytes | None, is_refused: bool
) -> None:
    import ray
    import ray.experimental.internal_kv
    from ray._private.state import state

    alive: list[dict[str, Any]] = [{"Alive": True, "Resources": resources} for resources in nodes]
    monkeypatch.setattr(ray, "nodes", lambda: alive)
    monkeypatch.setattr(type(state), "get_cluster_config", lambda self: None)
    monkeypatch.setattr(ray.experimental.internal_kv, "_internal_kv_get", lambda key: written)
    monkeypatch.setattr(room, "STATUS_WAIT_S", 0.0)
    monkeypatch.setattr(room, "time", SimpleNamespace(monotonic=iter(range(9)).__next__, sleep=lambda seconds: None))
    if is_refused:
        with pytest.raises(ClusterError, match="nodes have at most 4 CPU and 0 GPU"):
            require_room({"CPU": 1.0, "GPU": 1.0}, 2)
    else:
        told = require_room({"CPU": 1.0, "GPU": 1.0}, 2)
        assert told is not None
        assert told.startswith("slots: 0 of 2 have room")
        assert told.endswith("the others wait for nodes")


@pytest.mark.ray
def test_slots_ask_for_nodes_until_these_are_enough_and_keep_no_place(
    local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That no place is kept is what `local_ray` ends with."""
    monkeypatch.setattr(room, "TOLD_EVERY_S", 0.0)

    def waited(wanted: list[dict[str, float]], *, until_why: bool = False) -> tuple[float, list[str]]:
        said: list[str] = []
        began = time.monotonic()
        await_nodes(
            wanted,
            is_enough=lambda: until_why and "too large" in said,
            say=said.append,
            why_none=lambda: "too large",
            later_s=3.0,
        )
        return time.monotonic() - began, said

    waited([{"CPU": 1.0}] * 2)  # all have a place
    took_s, said = waited([{"CPU": 1.0}] * 3)  # one waits for a node, and the others no longer for it
    assert took_s > 3.0
    assert said[-1] == "waiting for nodes: 2 of 3 slots have a place (`ray status`)"
    assert "too large" not in said
    monkeypatch.setattr(room, "LONG_WAIT_S", 4.0)
    took_s, said = waited([{"CPU": 64.0}], until_why=True)  # none comes: nothing but enough ends it
    assert took_s > 4.0
    waiting = "waiting for nodes: 0 of 1 slots have a place (`ray status`)"
    assert said == [*[waiting] * (len(said) - 1), "too large"]  # for a while nothing but the first


@pytest.mark.ray
def test_a_real_cluster_is_asked(head: HeadNode) -> None:
    program = (
        "import sys; from cluster.connect import connect; from cluster.nodes.room import require_room\n"
        "connect(sys.argv[1]); print(require_room({'CPU': 1.0}, 2)); require_room({'CPU': 1.0, 'GPU': 1.0}, 1)\n"
    )
    asked = [sys.executable, "-c", program, head.gcs_address]
    done = subprocess.run(asked, env=head.env, capture_output=True, text=True, check=False)
    assert done.stdout == "None\n"
    assert "needs 1 CPU and 1 GPU, and nodes have at most 2 CPU and 0 GPU" in done.stderr
