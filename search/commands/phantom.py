"""`recombine phantom write` and `recombine phantom build-base`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search.console import print_line


def write_corpus(folder: Path, subsets: Sequence[str] | None, seed: int, num_pool: int, num_test: int) -> None:
    """Write the phantom corpus and say where its catalog is."""
    from datasets_spec.phantom.write import write_phantom

    catalog = write_phantom(folder, seed=seed, subsets=subsets or None, num_pool=num_pool, num_test=num_test)
    print_line(f"catalog: {catalog}")


def build_base_model(folder: Path, seed: int, num_threads: int) -> None:
    """Train the phantom backbone and print its accuracies."""
    from trainers.phantom_build import build_base

    report = build_base(folder, seed=seed, on_event=print_line, num_threads=num_threads)
    print_line(f"{folder}: {report['seconds']:.0f} s, accuracies in build.json; use it as `backbone.model: {folder}`")
