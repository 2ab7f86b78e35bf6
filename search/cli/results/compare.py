"""`recombine compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from search.cli.console import print_line, print_table
from search.study.run_dir import RunDir


def compare_command(runs: Sequence[Path]) -> None:
    """Print what differs between studies, and what each found."""
    from search.results.compare import compare_runs

    found = compare_runs([RunDir(run) for run in runs])
    tables: tuple[tuple[str, str, Mapping[str, Sequence[object]]], ...] = (
        ("What differs in the studies", "setting", found.settings),
        ("Selections, in samples", "subset", found.compositions),
        ("Figures", "figure", found.figures),
    )
    for title, head, rows in tables:
        print_table(title, [head, *found.names], [[name, *map(str, values)] for name, values in rows.items()])
    for caution in found.cautions:
        print_line(f"caution: {caution}")
