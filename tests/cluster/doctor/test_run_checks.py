from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from cluster.doctor import ray_checks
from cluster.doctor.check import Check
from cluster.doctor.ray_checks import _compare, check_jobs_api
from cluster.doctor.run_checks import (
    check_device,
    check_disk,
    check_environment,
    check_model_cache,
    check_origins,
    check_packages,
    check_python,
    check_token,
    check_writable,
    run_checks,
)
from cluster.machine import find_origins
from tests.makers.ray_head import HeadNode

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


def test_all_checks_of_this_machine(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checks = run_checks(directory=tmp_path / "not" / "yet", start_ray=False)
    names = [check.name for check in checks]
    assert len(set(names)) == len(names) == 13
    assert not [check for check in checks if check.status == "fail"]
    assert all(check.detail for check in checks)
    assert list(tmp_path.iterdir()) == []  # the write probe leaves nothing


@pytest.mark.ray
@pytest.mark.slow
def test_a_worker_is_compared_with_this_process() -> None:
    program = (
        "from cluster.machine import PACKAGES; from cluster.doctor.ray_checks import check_workers\n"
        "check = check_workers(PACKAGES); print(check.status, check.detail)"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env["PYTHONPATH"] = str(REPOSITORY)
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok started"), done.stdout


@pytest.mark.ray
def test_jobs_api_with_and_without_the_token(head: HeadNode, bare: pytest.MonkeyPatch) -> None:
    assert check_jobs_api(head.address_http).status == "fail"
    bare.setenv("RAY_AUTH_TOKEN", head.token)
    check = check_jobs_api(head.address_http)
    assert check.status == "ok", check
    assert head.token not in str(check)


def test_a_cluster_that_ends_while_it_is_asked_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import ray

    for error in (ray.exceptions.RaySystemError("the head is gone"), ray.exceptions.GetTimeoutError("too late")):
        monkeypatch.setattr(ray_checks, "connect", Mock())
        monkeypatch.setattr(ray_checks, "gather", Mock(side_effect=error))
        (check,) = ray_checks.check_nodes("127.0.0.1:1", tmp_path, ["search"])
        assert (check.status, "Is the head node still up?" in check.fix) == ("fail", True)
        assert type(error).__name__ in check.detail


def test_what_differs_on_a_worker_is_named() -> None:
    ours = {"python": "3.11.7", "ray": "2.60.0", "origins": {"search": "/a/search/__init__.py"}}
    same = _compare(ours, ours)
    assert same[0] == "ok"
    assert _compare(ours, ours | {"python": "3.12.1"})[0] == "fail"
    assert "ray 2.59.0" in _compare(ours, ours | {"ray": "2.59.0"})[1]
    moved = ours | {"origins": {"search": "/b/search.py"}}
    assert _compare(ours, moved)[0] == "fail"
    assert _compare(ours, ours | {"origins": {"search": ""}}) == (
        "fail",
        "a worker has no search",
    )


def test_a_shadowed_package_is_found(tmp_path: Path) -> None:
    """A user's search.py beside the study hides ours from `python -m`."""
    (tmp_path / "search.py").write_text("")
    program = "import cluster.doctor.run_checks as d; c = d.check_origins(); print(c.status, c.detail)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"fail search from {tmp_path}")
    assert check_origins().status == "ok"
    assert find_origins(["no_such_package"]) == {"no_such_package": ""}


def test_a_requirement_below_its_floor_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["pydantic>=1", "typer>=999", "not-there-at-all>=1", 'other>=1; extra == "never"']
    monkeypatch.setattr("cluster.doctor.run_checks.metadata.requires", lambda name: lines)
    check = check_packages()
    assert check.status == "fail"
    assert "typer" in check.detail
    assert "not-there-at-all is missing" in check.detail
    assert "pydantic" not in check.detail
    assert "other" not in check.detail


def test_python_and_device_are_described() -> None:
    assert check_python().detail.startswith(sys.version.split()[0])
    assert "torch" in check_device().detail


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert check_writable(tmp_path).status == "ok"
    assert check_writable(tmp_path / "file").status == "fail"


@pytest.mark.parametrize(("free_gib", "status"), [(0.1, "fail"), (2.0, "warn"), (50.0, "ok")])
def test_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_gib: float, status: str) -> None:
    monkeypatch.setattr("cluster.doctor.run_checks.free_disk_gib", lambda directory: free_gib)
    assert check_disk(tmp_path).status == status


def test_token_states(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def state(address: str | None) -> str:
        return check_token(address).status

    assert (state(None), state("127.0.0.1:6379"), state("http://localhost:8265")) == ("ok", "ok", "ok")
    assert (state("10.0.0.1:6379"), state("http://head:8265")) == ("fail", "fail")
    path = tmp_path / ".ray" / "auth_token"
    path.parent.mkdir()
    path.write_text("a" * 64)
    path.chmod(0o644)
    assert state("10.0.0.1:6379") == "warn"
    path.chmod(0o600)
    assert state("10.0.0.1:6379") == "ok"


def test_unsafe_environment_is_found(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("RAY_AUTH_MODE", "disabled")
    assert check_environment() == Check(
        name="environment",
        status="fail",
        detail=check_environment().detail,
        fix="Unset RAY_AUTH_MODE; a local cluster then gets a private token by itself.",
    )


def test_offline_without_models_warns(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("HF_HUB_OFFLINE", "1")
    assert check_model_cache().status == "warn"
    (tmp_path / ".cache/huggingface/hub/models--a--b").mkdir(parents=True)
    assert check_model_cache().detail.startswith("1 models")
