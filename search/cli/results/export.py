"""`recombine export`."""

from __future__ import annotations

from pathlib import Path

from search.cli.console import print_line
from search.study.run_dir import RunDir


def export_command(run: Path, folder: Path, trainer: str, store: Path | None) -> None:
    """Write a study's selection for a trainer, and say what trains it."""
    from search.handover.export import export_selection

    written = export_selection(RunDir(run), folder, trainer, store)
    print_line(f"wrote {written.num_rows} rows with {written.num_images} images to {folder}")
    for note in written.notes:
        print_line(f"note: {note}")
    print_line(f"train in {folder}: {written.command}")
