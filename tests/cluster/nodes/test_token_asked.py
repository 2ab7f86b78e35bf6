"""A cluster that was started without a token is not worked on, whatever its address."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.nodes.token_asked import require_token_asked, token_teller

REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAM = """
import os
os.environ["RAY_AUTH_MODE"] = "disabled"
import ray
ray.init(address="local", num_cpus=1, log_to_driver=False, include_dashboard=False)
del os.environ["RAY_AUTH_MODE"]
from cluster.errors import ClusterError
from search.cli.connection import connected
try:
    with connected(None, print):
        print("joined")
except ClusterError as error:
    print(error)
"""


@pytest.mark.ray
def test_a_cluster_of_plain_ray_is_not_joined(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env |= {"PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False)
    assert "Ray asks for no token on " in done.stdout, done.stderr
    assert "RAY_AUTH_MODE=token" in done.stdout
    assert "joined" not in done.stdout


@pytest.mark.parametrize(("mode", "is_asked"), [("Token", True), ("k8s", False), ("", False)])
def test_only_rays_one_word_for_it_counts(monkeypatch: pytest.MonkeyPatch, mode: str, is_asked: bool) -> None:
    """By any other (`k8s` is none of 2.60's) Ray asks for nothing."""
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    assert token_teller()() is is_asked


def test_the_nodes_that_ask_for_no_token_are_named() -> None:
    require_token_asked({"10.0.0.1": True})
    with pytest.raises(ClusterError, match=r"no token on 10\.0\.0\.2:"):
        require_token_asked({"10.0.0.1": True, "10.0.0.2": False})
