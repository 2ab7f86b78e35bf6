"""`recombine verify`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from search.cli.console import print_line
from search.study.run_dir import RunDir


def verify_command(run: Path) -> int:
    """Check a study directory against its ledger and compute its numbers again; returns 1 where something differs."""
    from search.results.verify import verify_run

    found = verify_run(RunDir(run))
    places = Counter(problem.file for problem in found.otherwise)
    first = {problem.file: problem.what for problem in reversed(found.otherwise)}
    for problem in found.problems:
        print_line(f"{problem.file}: {problem.what}")
    for file, number in places.items():
        print_line(f"{file}: {first[file]}" + (f" (and {number - 1} more)" if number > 1 else ""))
    for note in found.notes:
        print_line(f"note: {note}")
    if found.problems:
        again = "" if found.num_recomputed else "; nothing was computed again"
        print_line(f"{run}: {len(found.problems)} problems{again}. Restore the files from a copy.")
        return 1
    if found.otherwise:
        print_line(
            f"{run}: {found.num_files} files are as another version wrote them, and this version computes "
            f"{len(found.otherwise)} figures otherwise; `recombine report STUDY --run-dir {run}` writes them anew"
        )
        return 1
    print_line(
        f"{run}: {found.num_files} files are as they were written, {found.num_records} records are whole and chained, "
        f"and {found.num_recomputed} files were computed again from the answers with the same result"
    )
    return 0
