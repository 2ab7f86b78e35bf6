from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from search.cli.verbs import versions as version
from search.cli.verbs.versions import version_text


def test_versions_are_told_and_nothing_else_is_done() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "search.cli", "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"recombine \S+( \(commit [0-9a-f]{12,}(-dirty)?\))?, Python 3\S+, Ray 2\S+, torch .*\n", done.stdout
    )


def test_an_installed_wheel_has_no_commit_and_what_is_absent_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "__file__", str(tmp_path / "a" / "b" / "version.py"))
    monkeypatch.setattr(version, "_version", lambda package: "not installed" if package == "torch" else "1")
    assert version_text().startswith("recombine 1, Python ")
    assert "torch not installed" in version_text()
