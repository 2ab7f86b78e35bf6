"""What `--version` tells: to be written beside a figure, or into the report of a fault."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path


def version_text() -> str:
    """Returns the version, the commit where there is one, and the versions of what an answer depends on most."""
    commit = _commit()
    named = [("Ray", "ray"), ("torch", "torch"), ("transformers", "transformers"), ("peft", "peft")]
    others = [f"{name} {_version(package)}" for name, package in named]
    own = f"recombine {_version('recombine')}" + (f" ({commit})" if commit else "")
    return f"{own}, Python {platform.python_version()}, {', '.join(others)}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str | None:
    """The commit of a checkout, marked where files differ from it, or that a wheel was built from; None without git."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        built_from = root / "search" / "commit.txt"  # written by hatch_build.py
        return f"commit {built_from.read_text(encoding='utf-8').strip()}" if built_from.is_file() else None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return f"commit {found.stdout.strip()}"
