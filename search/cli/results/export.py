"""`recombine export`."""

from __future__ import annotations

from pathlib import Path

from datasets_spec.storage.place import as_place
from search.cli.console import print_line
from search.study.run_dir import RunDir


def export_command(run: Path, folder: Path, trainer: str, store: str | None) -> None:
    """Write a study's selection for a trainer, and say what trains it."""
    from search.handover.export import export_selection

    written = export_selection(RunDir(run), folder, trainer, as_place(store) if store else None)
    print_line(f"wrote {written.num_rows} rows with {written.num_images} images to {folder}")
    for note in written.notes:
        print_line(f"note: {note}")
    print_line(f"train in {folder}: {written.command}")
