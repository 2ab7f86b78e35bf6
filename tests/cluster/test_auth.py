from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cluster.auth import (
    PICKLE_SWITCHES,
    ensure_local_token,
    find_token,
    is_loopback,
    refuse_unsafe_environment,
)
from cluster.errors import ClusterError


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_token_is_private_and_kept(home: Path) -> None:
    assert find_token() is None
    ensure_local_token()
    token = find_token()
    assert token is not None
    assert len(token) == 64
    assert mode(home / ".ray" / "auth_token") == 0o600
    assert os.listdir(home / ".ray") == ["auth_token"]
    ensure_local_token()
    assert find_token() == token


def test_a_token_others_can_read_is_made_private(home: Path) -> None:
    path = home / ".ray" / "auth_token"
    path.parent.mkdir()
    path.write_text("a" * 64 + "\n")
    path.chmod(0o644)
    ensure_local_token()
    assert mode(path) == 0o600
    assert find_token() == "a" * 64


def test_without_a_home_the_token_lives_in_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("HOME", str(home / "file"))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    ensure_local_token()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


def test_order_of_places_is_rays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "named").write_text("from-path\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "named"))
    assert find_token() == "from-path"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from-env")
    assert find_token() == "from-env"


def test_a_named_file_that_is_missing_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "gone"))
    with pytest.raises(ClusterError, match="cannot be read"):
        find_token()


@pytest.mark.parametrize("name", PICKLE_SWITCHES)
def test_pickle_switches_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "0")
    refuse_unsafe_environment()
    monkeypatch.setenv(name, "1")
    with pytest.raises(ClusterError, match=name):
        refuse_unsafe_environment()


def test_disabled_authentication_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "Disabled")
    with pytest.raises(ClusterError, match="RAY_AUTH_MODE"):
        refuse_unsafe_environment()


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("[::1]", True), ("10.0.0.1", False), ("head.local", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
