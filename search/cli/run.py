"""`recombine run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from search.cli.connection import InterruptedBySignalError, connected
from search.cli.console import Progress, print_line
from search.cli.results.report import show_backbones, show_findings
from search.designs.backbones import backbone_studies
from search.study.load_study import load_study
from search.study.objective import objective_values
from search.study.requirements import require_backbones
from search.study.run_dir import RunDir, RunFile, require_same_study, run_dir_of
from search.study.study import Study


def run_command(
    study_file: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    address: str | None,
    *,
    accept_loss: bool = False,
    allow_mismatch: bool = False,
    with_top_up: bool = False,
) -> int:
    """Run or resume a study; return the exit code."""
    study = load_study(study_file, overrides)
    directory = run_dir_of(study_file, study.spec, run_dir)
    require_backbones(study)  # all of them, before the first is run
    several = backbone_studies(study)
    runs = {name: (each, directory.of_backbone(name)) for name, each in several.items()} or {"": (study, directory)}
    for each, place in runs.values():
        require_same_study(place, each.spec)  # before a cluster is started for it
    places = [place for _, place in runs.values()]
    joined = partial(connected, address, allow_mismatch=allow_mismatch)
    options = {"accept_loss": accept_loss, "allow_mismatch": allow_mismatch, "with_top_up": with_top_up}
    if several:  # written when all are over (`missing_end`), and one may have been added since
        (directory / RunFile.backbones_markdown).unlink(missing_ok=True)
    for each, place in runs.values():
        progress = Progress(lambda record: objective_values(study.spec, record))
        try:
            with progress:
                report = _run(each, place, places, joined, progress, **options)
        except KeyboardInterrupt as stop:
            print_line(f"stopped; finished trials are safe in {place}. The same command goes on from there.")
            if not isinstance(stop, InterruptedBySignalError):
                return 130
            if stop.has_joined:
                stop.leave()
            return stop.exit_code
        show_findings(place, report)
    if several:
        show_backbones({name: place for name, (_, place) in runs.items()}, directory)
    return 0


def _run(
    study: Study,
    directory: RunDir,
    directories: Sequence[RunDir],
    joined: Callable[[Callable[[str], None]], AbstractContextManager[Any]],
    progress: Progress,
    *,
    accept_loss: bool,
    allow_mismatch: bool,
    with_top_up: bool,
) -> Path:
    from cluster.metrics import StudyMetrics
    from search.cli.exported_metrics import ExportedMetrics
    from search.phases.run_study import run_study

    with (
        joined(progress.say),
        ExportedMetrics(StudyMetrics(study.spec.name, study.spec.eval_sets), study, directories) as metrics,
    ):

        def on_record(record: Mapping[str, Any]) -> None:
            progress.on_record(record)
            metrics.on_record(record)

        return run_study(
            study,
            directory,
            say=progress.say,
            on_record=on_record,
            on_running=metrics.on_running,
            on_slots=metrics.on_slots,
            on_store=metrics.on_store,
            accept_loss=accept_loss,
            allow_mismatch=allow_mismatch,
            with_top_up=with_top_up,
        )
