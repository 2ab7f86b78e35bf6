"""The README's commands are what works: its study block is run as written (all others: test_hints.py)."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.studies.tiny_study import command, environment

README = Path(__file__).resolve().parents[2] / "README.md"
# What makes the demo's study small; everything else is as the README has it.
SHRUNK = (
    "strategy.num_trials=2",
    "strategy.num_merges=0",
    "transfer.enabled=false",
    "confirm.enabled=false",
    "execution.num_workers=0",
    "recipe.num_steps=1",
)


def _commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("recombine ")]


@pytest.mark.ray
def test_the_study_block_runs_as_written(tmp_path: Path) -> None:
    for words in (c for c in _commands() if any("my-study" in word for word in c)):
        if "--address" in words:
            continue
        shrink = SHRUNK if words[1] in ("run", "plan", "report") else ()
        done = subprocess.run(
            command(*words[1:], *shrink),
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
    assert (tmp_path / "my-study" / "runs" / "phantom-demo" / "report" / "index.html").is_file()
