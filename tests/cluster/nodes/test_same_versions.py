"""Another version, on a node or at the submitter, stops a driver; a second node does not take its folder away."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ray import cloudpickle

from cluster.errors import ClusterError
from cluster.nodes import same_versions
from cluster.nodes.ask_nodes import name_nodes
from cluster.nodes.same_versions import SUBMITTER, Versions, node_comparer, own_versions, require_same_versions
from cluster.submit import submit
from tests.makers.ray_nodes import RayNodes, start_nodes

OURS = Versions(recombine="0.1.0", python="3.11.7", ray="2.60.0")
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Compares a driver of OURS with a node; returns what it said."""

    def run(node: Versions = OURS, submitter: Versions | None = None, *, allow_patch: bool = False) -> list[str]:
        monkeypatch.delenv(SUBMITTER, raising=False)
        if submitter is not None:
            monkeypatch.setenv(SUBMITTER, submitter.to_text())
        told: list[str] = []
        monkeypatch.setattr(same_versions, "own_versions", lambda: OURS)
        require_same_versions({"10.0.0.2": node}, told.append, allow_patch=allow_patch)
        return told

    return run


def test_equal_versions_say_nothing(compare: Callable[..., list[str]]) -> None:
    assert compare(submitter=OURS) == []
    assert compare() == []


def test_both_sides_of_a_difference_are_named(compare: Callable[..., list[str]]) -> None:
    other = Versions(recombine="0.2.0", python="3.12.1", ray="2.60.0")
    with pytest.raises(ClusterError) as caught:
        compare(other, allow_patch=True)
    assert "Recombine 0.2.0 on node 10.0.0.2, 0.1.0 in the driver" in caught.value.message
    assert "Python 3.12.1 on node 10.0.0.2, 3.11.7 in the driver" in caught.value.message
    assert "Ray" not in caught.value.message
    assert "--allow-mismatch" not in str(caught.value.hint)


def test_a_patch_version_may_be_let_through_and_is_said(compare: Callable[..., list[str]]) -> None:
    submitter = Versions(recombine="0.1.0", python="3.11.9", ray="2.60.0")
    with pytest.raises(ClusterError, match=r"Python 3\.11\.9 on submitter") as caught:
        compare(submitter=submitter)
    assert "--allow-mismatch" in str(caught.value.hint)
    told = compare(submitter=submitter, allow_patch=True)
    assert told == ["versions differ, as allowed: Python 3.11.9 on submitter, 3.11.7 in the driver"]


def test_a_node_without_recombine_is_no_patch(compare: Callable[..., list[str]]) -> None:
    with pytest.raises(ClusterError, match="Recombine none on node"):
        compare(Versions(recombine="none", python="3.11.7", ray="2.60.0"), allow_patch=True)


@pytest.mark.parametrize(
    ("node", "allow_patch", "words"),
    [
        (OURS, False, None),
        (
            Versions(recombine="0.2.0", python="3.11.9", ray="2.60.0"),
            True,
            "Versions differ: Recombine 0.2.0 on node HOST, 0.1.0 in the driver; Python 3.11.9 on node HOST, 3.11.7 in "
            "the driver. Install the same versions everywhere: one image, or one environment that all nodes see.",
        ),
        (
            Versions(recombine="0.1.1", python="3.11.7", ray="2.60.0"),
            False,
            "Versions differ: Recombine 0.1.1 on node HOST, 0.1.0 in the driver. Install the same versions everywhere: "
            "one image, or one environment that all nodes see. `--allow-mismatch` lets third numbers differ.",
        ),
        (Versions(recombine="0.1.1", python="3.11.7", ray="2.60.0"), True, None),
    ],
)
def test_a_node_that_joins_later_says_how_it_differs(
    monkeypatch: pytest.MonkeyPatch, node: Versions, allow_patch: bool, words: str | None
) -> None:
    monkeypatch.setattr(same_versions, "own_versions", lambda: OURS)
    monkeypatch.setattr(same_versions, "version_teller", lambda: lambda: asdict(node))
    monkeypatch.setattr(platform, "node", lambda: "HOST")
    assert node_comparer(allow_patch=allow_patch)() == words


def test_what_compares_a_node_needs_no_package_of_ours_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same_versions, "own_versions", lambda: replace(OURS, python="2.7.18"))
    dumped = cloudpickle.dumps(node_comparer())
    for name in [name for name in sys.modules if name.split(".")[0] == "cluster"]:
        monkeypatch.setitem(sys.modules, name, None)
    words = str(cloudpickle.loads(dumped)())
    assert f"on node {platform.node()}, 2.7.18 in the driver" in words


def test_versions_travel_as_text() -> None:
    assert Versions.from_text(own_versions().to_text()) == own_versions()
    assert Versions.from_text('{"ray": "2.61.0"}') == Versions(recombine="none", python="none", ray="2.61.0")


def test_nodes_of_one_address_are_told_apart() -> None:
    nodes = [
        {"Alive": alive, "NodeManagerAddress": address, "NodeID": id * 8}
        for alive, address, id in [(True, "a", "01"), (True, "b", "02"), (False, "a", "03"), (True, "b", "04")]
    ]
    assert list(name_nodes(nodes)) == ["a", "b (02020202)", "b (04040404)"]


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    """A head and a node on which another Recombine is installed; the shared head would miss the node for long."""
    folder = tmp_path_factory.mktemp("installed") / "recombine-9.9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: recombine\nVersion: 9.9.9\n")
    with start_nodes(0) as nodes:
        nodes.join(env={"PYTHONPATH": f"{folder.parent}:{nodes.env['PYTHONPATH']}"})
        yield nodes


@pytest.mark.ray
def test_a_node_with_another_version_stops_the_driver(two_nodes: RayNodes) -> None:
    program = (
        "import sys, ray; from cluster.connect import connect; from cluster.nodes.joining import require_sound_nodes\n"
        "connect(sys.argv[1]); require_sound_nodes(print, allow_patch=True)\n"
    )
    command = [sys.executable, "-c", program, two_nodes.head.gcs_address]
    done = subprocess.run(command, env=two_nodes.env, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert f"Recombine 9.9.9 on node {two_nodes.addresses[0]}, {own_versions().recombine} in the driver" in done.stderr
    assert done.stdout == ""


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.cluster
def test_another_node_does_not_take_the_drivers_folder_away(
    two_nodes: RayNodes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ray unpacks a job's folder on each node's first worker, over the one that processes of its host stand in."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", two_nodes.head.token)
    program = (
        "import os, torch; from cluster.connect import connect; from cluster.nodes.ask_nodes import ask_every_node\n"
        "connect(); print('nodes', len(ask_every_node(lambda: 1)))\n"
        "print('stands in', os.getcwd(), torch.linalg.inv(torch.eye(3)).sum().item())\n"  # MKL's first call
    )
    lines: list[str] = []
    code = submit(
        address=two_nodes.head.address_http,
        folder=tmp_path,
        entrypoint=[sys.executable, "-c", program],
        on_line=lines.append,
    )
    assert code == 0, lines
    assert f"stands in {tmp_path} 3.0" in lines
    assert "nodes 2" in lines
