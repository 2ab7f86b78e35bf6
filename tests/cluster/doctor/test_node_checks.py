"""What is found about nodes: each aspect by itself on made-up answers, and all of them on a real cluster."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.doctor.check import Check
from cluster.doctor.node_checks import judge_nodes
from tests.makers.ray_head import HeadNode
from tests.studies.tiny_study import command

REPOSITORY = Path(__file__).resolve().parents[3]
OURS = {"recombine": "0.1.0", "ray": "2.60.0", "torch": "2.13.0+cpu", "python": "3.11.7"}
FINE: dict[str, Any] = {
    "versions": OURS,
    "origins": {"search": "/env/search/__init__.py", "cluster": "/env/cluster/__init__.py"},
    "disk_gib": 100.0,
    "shm_gib": 8.0,
    "gpus": ["NVIDIA L4, 570.1, 23034 MiB"],
    "num_gpus": 1.0,
    "is_token_mode": True,
    "token_mode": 0o600,
    "models": ["models--a--b"],
    "is_same": True,
    "is_seen_here": True,
    "read_mib_s": 500.0,
    "write_mib_s": 200.0,
    "skew_s": (0.01, 0.001),
}


def judged(**changes: Any) -> dict[str, Check]:
    """Findings where the second of two nodes differs from a fine one."""
    other = copy.deepcopy(FINE) | changes
    return {check.name: check for check in judge_nodes({"10.0.0.1": FINE, "10.0.0.2": other}, OURS, Path("/shared"))}


def test_fine_nodes_have_nothing_to_mend() -> None:
    found = judged()
    assert {check.status for check in found.values()} == {"ok"}
    assert found["nodes"].detail == "2: 10.0.0.1, 10.0.0.2"
    assert found["node GPUs"].detail == "2 x NVIDIA L4"
    assert "reads 500 and writes 200 MiB/s" in found["node folders"].detail


@pytest.mark.parametrize(
    ("name", "status", "changes", "words"),
    [
        ("node versions", "fail", {"versions": OURS | {"ray": "2.59.1"}}, "ray 2.59.1, here 2.60.0"),
        ("node versions", "fail", {"versions": OURS | {"torch": "2.12.1+cpu"}}, "torch 2.12.1+cpu, here 2.13.0+cpu"),
        ("node packages", "fail", {"origins": FINE["origins"] | {"search": ""}}, "no search"),
        ("node packages", "fail", {"origins": FINE["origins"] | {"search": "/home/me/search/__init__.py"}}, "/home/me"),
        ("node folders", "fail", {"folder_error": "No such file or directory"}, "No such file"),
        ("node folders", "fail", {"is_seen_here": False}, "another folder"),
        ("node folders", "warn", {"write_mib_s": 3.0}, "writes 3 MiB/s"),
        ("node disk", "warn", {"disk_gib": 2.0}, "2.0 GiB"),
        ("node disk", "fail", {"disk_gib": 0.1}, "0.1 GiB"),
        ("node shared memory", "warn", {"shm_gib": 0.06}, "0.1 GiB in /dev/shm"),
        ("node clocks", "warn", {"skew_s": (-40.0, 0.1)}, "-40.0 s"),
        ("node GPUs", "warn", {"gpus": []}, "Ray counts 1 GPUs, the driver shows 0"),
        ("node GPUs", "warn", {"gpus": ["NVIDIA L4, 535.9, 23034 MiB"]}, "535.9, 570.1"),
        ("node token", "fail", {"is_token_mode": False}, "asks for no token"),
        ("node token", "warn", {"token_mode": 0o644}, "mode 644"),
        ("node models", "warn", {"models": []}, "lacks models--a--b"),
    ],
)
def test_what_is_wrong_names_node_and_remedy(name: str, status: str, changes: dict[str, Any], words: str) -> None:
    found = judged(**changes)
    assert found[name].status == status
    assert words in found[name].detail
    assert found[name].fix
    assert {check.name for check in found.values() if check.status != "ok"} == {name}


def test_a_head_without_a_gpu_has_the_same_torch_as_its_workers() -> None:
    """As in the recipe for Kubernetes: the image for processors beside that for GPUs."""
    found = judged(versions=OURS | {"torch": "2.13.0+cu128"})["node versions"]
    assert found.status == "ok"
    assert "torch 2.13.0," in found.detail


def test_models_that_no_node_has_are_not_said_to_be_everywhere() -> None:
    assert judged()["node models"].detail == "in the cache of every node: 1"
    nowhere = FINE | {"models": []}
    found = {check.name: check for check in judge_nodes({"a": nowhere, "b": nowhere}, OURS, Path("/shared"))}
    assert found["node models"].detail.startswith("no node has one in its cache: each will fetch the study's")


def test_a_clock_that_is_not_known_exactly_is_not_blamed() -> None:
    assert judged(skew_s=(4.0, 3.0))["node clocks"].status == "ok"


@pytest.mark.ray
def test_every_node_of_a_real_cluster_is_asked(head: HeadNode, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from cluster.doctor.ray_checks import check_nodes\n"
        "from cluster.machine import PACKAGES\n"
        "for c in check_nodes(sys.argv[1], Path(sys.argv[2]), PACKAGES): print(c.name, c.status, c.detail, sep=' | ')\n"
    )
    asked = [sys.executable, "-c", program, head.gcs_address, str(tmp_path)]
    done = subprocess.run(asked, env=head.env, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = {line.split(" | ")[0]: line.split(" | ") for line in done.stdout.splitlines()}
    ask: Callable[[str], str] = lambda name: found[name][1]  # noqa: E731
    assert ask("ray") == "ok", done.stdout
    assert {ask(name) for name in ("nodes", "node versions", "node packages", "node clocks", "node token")} == {"ok"}
    assert ask("node folders") in ("ok", "warn")  # a busy disk is slow
    assert str(tmp_path) in found["node folders"][2]
    assert not list(tmp_path.iterdir())


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.cluster
def test_through_the_dashboard_the_cluster_asks_its_nodes(head: HeadNode, tmp_path: Path) -> None:
    done = subprocess.run(
        command("doctor", "--address", head.address_http),
        env=head.env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    there = done.stdout.partition("The same on the cluster, in ")[2]
    assert "node versions" in there, done.stdout + done.stderr
    assert f"all see {tmp_path}" in there.replace("\n", "")
    assert done.returncode == 0, done.stdout
