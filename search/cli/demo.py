"""`recombine demo`: from nothing to a report."""

from __future__ import annotations

from pathlib import Path

from search.cli.init import STUDY_FILE, write_study
from search.cli.plan import show_plan
from search.cli.run import run_command


def run_demo(folder: Path) -> int:
    """Write corpus and study where they are not there yet, show the plan, run; resumes when repeated."""
    path = folder / STUDY_FILE
    if not path.is_file():
        write_study(folder, "phantom")
    show_plan(path, [], None)
    return run_command(path, [], None, None)
