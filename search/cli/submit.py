"""`recombine submit`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search.cli.console import print_line
from search.study.load_study import load_study
from search.study.run_dir import run_dir_of


def submit_study(
    study_file: Path, overrides: Sequence[str], run_dir: Path | None, address: str, *, follow: bool
) -> int:
    """Run a study as a Ray job; study file, data and directory lie on storage that the cluster sees too.

    The study is checked here first, so that a mistake costs no job.
    """
    import tempfile

    from cluster.submit import submit

    study = load_study(study_file, overrides)
    directory = run_dir_of(study_file, study.spec, run_dir)
    command = ["recombine", "run", str(study_file.resolve()), *overrides, "--run-dir", str(directory.root.resolve())]
    with tempfile.TemporaryDirectory() as empty:  # the Jobs API wants a folder to upload
        return submit(address=address, working_dir=Path(empty), entrypoint=command, on_line=print_line, follow=follow)
