"""What no node can hold is said at once; what waits is said, and waits."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cluster.errors import ClusterError
from cluster.nodes.room import judge_room
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
