from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.runtime_dir import RuntimeDir


@pytest.fixture
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rd-", dir="/tmp") as folder:
        yield Path(folder)


def test_is_private_and_removed(short: Path) -> None:
    folder = RuntimeDir(short)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    (folder.path / "session").mkdir()
    folder.remove()
    assert list(short.iterdir()) == []


def test_abandoned_folders_go_and_living_ones_stay(short: Path) -> None:
    abandoned = short / "r-killed"
    abandoned.mkdir()
    (abandoned / "owner.lock").touch()
    living = RuntimeDir(short)
    another = RuntimeDir(short)
    assert not abandoned.exists()
    assert living.path.exists()
    assert living.path != another.path
    living.remove()
    another.remove()


def test_a_path_too_long_for_sockets_is_refused(short: Path) -> None:
    with pytest.raises(ClusterError, match="too long"):
        RuntimeDir(short / ("x" * 60))


def test_default_parent_follows_ray_tmpdir(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    folder = RuntimeDir()
    assert folder.path.parent.parent == short
    assert stat.S_IMODE(folder.path.parent.stat().st_mode) == 0o700
    folder.remove()


def test_a_prepared_link_is_refused(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    folder = RuntimeDir()
    parent = folder.path.parent
    folder.remove()
    parent.rmdir()
    (short / "elsewhere").mkdir()
    parent.symlink_to(short / "elsewhere")
    with pytest.raises(ClusterError, match="link"):
        RuntimeDir()
