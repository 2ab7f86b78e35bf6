"""Runs a study from its file to its report; the same call resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datasets_spec.errors import UserError
from datasets_spec.store.store import Store
from search.engine.study_run import StudyRun
from search.evidence.explain.wanted_trials import read_wanted
from search.ledger.records import Kind, is_complete, of_kind
from search.phases.baseline import run_baseline
from search.phases.confirm import run_confirm
from search.phases.design import run_design
from search.phases.merges import run_merges
from search.phases.mlflow_tracking import tracked
from search.phases.open_study import Say, open_run
from search.phases.reuse import run_reused
from search.phases.sealed import open_sealed
from search.phases.search import run_search
from search.phases.top_up import run_top_up
from search.phases.transfer import is_matrix_first, run_transfer
from search.results.write_results import write_results
from search.study.run_dir import RunDir
from search.study.study import Study


def run_study(
    study: Study,
    run_dir: RunDir,
    *,
    say: Say,
    on_record: Callable[[Mapping[str, Any]], None],
    on_running: Callable[[int], None] = lambda num_trials: None,
    on_slots: Callable[[Mapping[str, Any]], None] = lambda state: None,
    on_store: Callable[[Store], None] = lambda store: None,
    accept_loss: bool = False,
    allow_mismatch: bool = False,
    with_top_up: bool = False,
) -> Path:
    """Run or resume a whole study; return the path of its report.

    Args:
        study: the study.
        run_dir: its directory; a directory of the same study resumes.
        say: tells the user one line.
        on_record: called with every trial record, after it is durable.
        on_running: told how many trials run, whenever that changes.
        on_slots: told the state of slots and of their queue, now and then.
        on_store: told the data, once they are prepared.
        accept_loss: go on with the good records of a damaged ledger.
        allow_mismatch: nodes that join may run other patch versions than this process.
        with_top_up: also run what an explanation has asked for.

    Raises:
        UserError: something the user can repair; finished trials are safe.
    """
    started = time.time()
    if with_top_up:
        read_wanted(run_dir)  # before anything is started
    run_dir = run_dir.absolute()  # workers stand elsewhere, and Ray takes a relative path for an address
    with (
        tracked(study.spec, say) as tracker,
        open_run(
            study,
            run_dir,
            say=say,
            on_record=on_record if tracker is None else tracker.beside(on_record),
            on_running=on_running,
            on_slots=on_slots,
            on_store=on_store,
            accept_loss=accept_loss,
            allow_mismatch=allow_mismatch,
        ) as run,
    ):
        if tracker is not None:
            tracker.begin(run.ledger.records())
        say("baseline: the untrained backbone")
        run_baseline(run)
        if study.reused_runs:
            say(f"reuse: trials of {', '.join(folder.name for folder in study.reused_runs)}")
            run_reused(run)
        if run.spec.design is None:
            _search_and_confirm(run)
        else:
            say(f"design: {run.spec.design.kind}")
            run_design(run)
        if with_top_up:
            run_top_up(run)
        if not is_complete(run.ledger.records()):
            ended_at = datetime.now(UTC).isoformat()
            run.ledger.append({"kind": Kind.ended.value, "ended_at": ended_at, "wall_s": time.time() - started})
        return write_results(study, run_dir, run.store, run.ledger)


def _search_and_confirm(run: StudyRun) -> None:
    """All phases of a study that searches, after the baseline."""
    check_not_extended(run.ledger.records(), run.spec.strategy.num_trials)
    is_first = is_matrix_first(run.ledger.records())
    if is_first:
        _run_matrix(run)
    if run.spec.strategy.num_merges:
        run.say(f"{run.spec.strategy.num_merges} merges of the single sources' adapters")
        run_merges(run)
    is_confirming = bool(run.ledger.records(Kind.confirm_started))
    run.say(
        "search: over, for its confirmation has begun"
        if is_confirming
        else f"search: {run.spec.strategy.num_trials} trials by {run.spec.strategy.name}"
    )
    best = run_search(run)
    if not is_first:
        _run_matrix(run)
    if run.spec.confirm.enabled:
        if not is_confirming:
            run.ledger.append({"kind": Kind.confirm_started.value, "num_trials": run.spec.strategy.num_trials})
        run.say(f"confirmation: the best {run.spec.confirm.num_finalists} and the comparators, with fresh seeds")
        arms = run_confirm(run, best)
        if arms and run.spec.confirm.open_sealed:
            open_sealed(run, arms)


def _run_matrix(run: StudyRun) -> None:
    if run.spec.transfer.enabled:
        run.say(f"transfer matrix: {len(run.spec.space.composition.available)} sources alone, and their controls")
        run_transfer(run)


def check_not_extended(records: Sequence[Mapping[str, Any]], num_trials: int) -> None:
    """Refuse more trials after the confirmation: finalists of two searches would share names, seeds and `sealed`.

    Args:
        records: the ledger's.
        num_trials: how many proposals the study may make now.

    Raises:
        UserError: the confirmation began with another number of trials.
    """
    for record in of_kind(records, Kind.confirm_started):
        if record["num_trials"] != num_trials:
            raise UserError(
                f"strategy.num_trials: was {record['num_trials']} when the best were confirmed, is {num_trials}",
                hint="a search goes on only before its confirmation (confirm.enabled=false leaves it open); "
                "put the old number back, or start another study with --run-dir",
            )
