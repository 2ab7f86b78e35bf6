"""`recombine run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from datasets_spec.store.store import Store
from search.cli.connection import InterruptedBySignalError, connected
from search.cli.console import Progress, print_line
from search.cli.results.report import show_backbones, show_findings
from search.designs.backbones import backbone_studies
from search.study.load_study import load_study
from search.study.objective import objective_values
from search.study.requirements import require_backbones
from search.study.run_dir import RunDir, require_same_study, run_dir_of
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
    joined = partial(connected, address, allow_mismatch=allow_mismatch)
    for each, place in runs.values():
        progress = Progress(lambda record: objective_values(study.spec, record))
        try:
            with progress:
                report = _run(each, place, joined, progress, accept_loss=accept_loss, with_top_up=with_top_up)
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
    joined: Callable[[Callable[[str], None]], AbstractContextManager[Any]],
    progress: Progress,
    *,
    accept_loss: bool,
    with_top_up: bool,
) -> Path:
    from cluster.metrics import StudyMetrics
    from search.phases.run_study import run_study

    with joined(progress.say):
        metrics = StudyMetrics(study.spec.name, study.spec.eval_sets)
        best: dict[str, float] = {}

        def on_record(record: Mapping[str, Any]) -> None:
            progress.on_record(record)
            samples = record["num_steps"] * record["recipe"]["batch_size"]
            score_s = sum(score["eval_s"] for score in record["evaluations"])
            metrics.count_ended(
                record["status"],
                num_samples=samples,
                num_tokens=record["num_tokens"] or 0,
                train_s=record["train_s"],
                score_s=score_s,
            )
            for score in record["evaluations"]:
                if score["split"] == "search" and score["accuracy"] > best.get(score["eval_set"], -1.0):
                    best[score["eval_set"]] = score["accuracy"]
                    metrics.set_best_accuracy(score["eval_set"], score["accuracy"])

        def on_slots(state: Mapping[str, Any]) -> None:
            num_wanted, num_ready = study.spec.execution.num_slots - state["num_resting"], len(state["slots"])
            metrics.set_slots(num_wanted=num_wanted, num_ready=num_ready, num_busy=len(state["held"]))
            metrics.set_queue(
                num_waiting=state["num_waiting"],
                num_retried=state["num_retried"],
                num_handed_over=state["num_handed_over"],
            )

        def on_store(store: Store) -> None:
            counts = store.manifest.subsets.values()
            num_quarantined = sum(sum(count.quarantined.values()) for count in counts)
            metrics.set_rows(num_kept=sum(count.kept for count in counts), num_quarantined=num_quarantined)

        return run_study(
            study,
            directory,
            say=progress.say,
            on_record=on_record,
            on_running=metrics.set_running,
            on_slots=on_slots,
            on_store=on_store,
            accept_loss=accept_loss,
            with_top_up=with_top_up,
        )
