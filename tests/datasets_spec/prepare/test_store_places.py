"""Stores on disks that are full, cannot be written, or know no locks; real mounts, where this user may make one."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datasets_spec.prepare.prepare_store import prepare_store
from tests.makers.corpus import mat_pool, subset_lines, write_catalog, write_json
from tests.makers.ray_nodes import can_mount

pytestmark = pytest.mark.ray

REPOSITORY = Path(__file__).resolve().parents[3]
FULL = 'mount -t tmpfs -o size=200k none "$0" && exec "$@"'
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
PREPARE = """
import sys, ray
from pathlib import Path
from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.errors import UserError
from datasets_spec.prepare.prepare_store import prepare_store
from datasets_spec.store.store import open_store
catalog, store = load_catalog(sys.argv[1]), Path(sys.argv[2])
if sys.argv[3] == "ray":
    ray.init(address="local", num_cpus=1, log_to_driver=False, include_dashboard=False)
try:
    print(prepare_store(catalog, store).was_current, open_store(store).count("pool", "train"))
except UserError as error:
    sys.exit(str(error))
"""
needs_mounts = pytest.mark.skipif(not can_mount(), reason="this user may not mount")


def prepared_there(root: Path, mount: str, ray: str) -> subprocess.CompletedProcess[str]:
    arguments = [str(root / "catalog.yaml"), str(root / "store"), ray]
    command = ["unshare", "-m", "sh", "-c", mount, str(root / "store"), sys.executable, "-c", PREPARE, *arguments]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)


def small(root: Path) -> None:
    write_json(root / "pool.json", mat_pool(root, "pool", 400, first=0))
    write_catalog(root, [subset_lines("pool", pool=["pool.json"])])
    (root / "store").mkdir()


@needs_mounts
def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    small(tmp_path)
    done = prepared_there(tmp_path, FULL, "ray")
    assert done.returncode == 1, done.stdout
    assert f"no space is left for the store {tmp_path / 'store'}" in done.stderr
    assert "prepare again" in done.stderr
    assert "Traceback" not in done.stderr


@needs_mounts
def test_a_current_store_is_used_where_nothing_can_be_written(tmp_path: Path, local_ray: None) -> None:
    from datasets_spec.catalog.catalog import load_catalog

    small(tmp_path)
    count = prepare_store(load_catalog(tmp_path / "catalog.yaml"), tmp_path / "store").manifest.subsets["pool"].splits
    done = prepared_there(tmp_path, READ_ONLY, "no ray")
    assert (done.returncode, done.stdout.split()) == (0, ["True", str(count["train"])]), done.stderr
    write_json(tmp_path / "pool.json", mat_pool(tmp_path, "pool", 10, first=0))
    other = prepared_there(tmp_path, READ_ONLY, "no ray")
    assert other.returncode == 1
    assert f"cannot write to {tmp_path / 'store'}: Read-only file system" in other.stderr


def test_without_locks_it_is_prepared_and_told(
    tmp_path: Path, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets_spec.catalog.catalog import load_catalog

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    small(tmp_path)
    told: list[str] = []
    monkeypatch.setattr(fcntl, "flock", refuse)
    prepare_store(load_catalog(tmp_path / "catalog.yaml"), tmp_path / "store", on_event=told.append)
    assert any("a file system without locks: prepare it from one place at a time" in text for text in told)
