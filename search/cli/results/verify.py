"""`recombine verify`."""

from __future__ import annotations

from pathlib import Path

from search.cli.console import print_line
from search.study.run_dir import RunDir


def verify_command(run: Path) -> int:
    """Check a study directory against its ledger and compute its numbers again; returns 1 when something is wrong."""
    from search.results.verify import verify_run

    found = verify_run(RunDir(run))
    for problem in found.problems:
        print_line(f"{problem.file}: {problem.what}")
    for note in found.notes:
        print_line(f"note: {note}")
    if found.problems:
        again = "" if found.num_recomputed else "; nothing was computed again"
        print_line(f"{run}: {len(found.problems)} problems{again}. Restore the files from a copy.")
        return 1
    print_line(
        f"{run}: {found.num_files} files are as they were written, {found.num_records} records are whole and chained, "
        f"and {found.num_recomputed} files were computed again from the answers with the same result"
    )
    return 0
