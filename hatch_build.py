"""Writes the commit that a wheel is built from into it, for `recombine --version`."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

IN_WHEEL = "search/commit.txt"  # no source file: the hash of the sources is that of the checkout
COMMIT = ("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")  # as search/cli/verbs/versions.py asks


class CommitHook(BuildHookInterface):
    """Adds one file, where there is a checkout with git; an editable install asks the checkout itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds.

        Args:
            version: "standard", or "editable".
            build_data: what hatchling is to do; changed here.
        """
        root = Path(self.root)
        if version == "editable" or not (root / ".git").exists():
            return
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *COMMIT], capture_output=True, text=True, check=True, timeout=10
            )
        except (OSError, subprocess.SubprocessError):
            return
        path = Path(tempfile.mkdtemp(prefix="recombine-commit-")) / "commit.txt"
        path.write_text(done.stdout.strip() + "\n", encoding="utf-8")
        build_data["force_include"][str(path)] = IN_WHEEL

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling afterwards; removes what `initialize` wrote."""
        for path in [Path(name) for name, place in build_data["force_include"].items() if place == IN_WHEEL]:
            path.unlink(missing_ok=True)
            path.parent.rmdir()
