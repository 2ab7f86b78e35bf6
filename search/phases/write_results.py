"""Writes what a study found: tables, selection, run.json and the report; all of it again from the ledger alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets_spec.atomic import replace_text
from datasets_spec.store.store import Store, open_store
from search.evidence.outcomes import Outcomes, outcomes_of, question_groups
from search.evidence.provenance import run_info
from search.evidence.timeline import compute_trace, read_trial_results
from search.ledger.records import Kind, of_kind, trials_of
from search.study.run_dir import RunDir, RunFile
from search.study.study import Study
from search.vocabulary import Stage


def write_results(study: Study, run_dir: RunDir, store: Store | None = None) -> Path:
    """Write tables, selection, run.json and report from ledger and outcomes; return the report's path.

    Args:
        study: the study.
        run_dir: its directory.
        store: its data, where they are open; by default what the store holds now.
    """
    from search.evidence.blind import blind_figures, no_image_shares
    from search.evidence.explain.explain_study import write_explanation
    from search.evidence.matrix.transfer_matrix import compute_transfer, write_transfer_csv
    from search.evidence.selection import build_selection, write_selection
    from search.evidence.subgroups import compute_findings, write_findings
    from search.evidence.trials_table import trials_frame, write_trials_parquet
    from search.report.write import write_report

    spec, store = study.spec, store or open_store(study.store_dir)
    records = run_dir.read_records()
    trials = trials_of(records)
    keys = {name: study.catalog.subset(name).key for name in study.catalog.names}
    splits = ("search", "confirm", "sealed") if of_kind(records, Kind.sealed_opened) else ("search", "confirm")
    outcomes = outcomes_of(run_dir, spec.score, question_groups(store, spec, splits))
    if spec.design is not None:
        _write_design(study, store, trials, outcomes, run_dir)
    write_trials_parquet(trials_frame(trials, keys, spec.score), run_dir / RunFile.trials_table)
    transfer = compute_transfer(trials, outcomes, keys, study.task_map, spec.eval_sets, "search", seed=spec.seed)
    write_transfer_csv(transfer, run_dir / RunFile.transfer)
    blind = blind_figures(store, spec.eval_sets, spec.score)
    if trials_of(trials, Stage.confirm):
        selection = build_selection(
            trials,
            outcomes,
            targets=spec.objective_sets,
            objective=spec.objective,
            retained=spec.retained,
            no_image=no_image_shares(blind),
            seed=spec.seed,
        )
        findings = compute_findings(study, store, trials, outcomes, selection["arm"])
        write_findings(findings, run_dir)
        write_selection(run_dir, selection, order_seed=spec.seed, store_fingerprint=store.fingerprint)
    if spec.design is None:
        write_explanation(study, run_dir, trials)
    info = run_info(study, store.manifest, records) | {"blind": blind}
    replace_text(run_dir / RunFile.run, json.dumps(info, indent=1, sort_keys=True) + "\n")
    replace_text(run_dir / RunFile.timeline, json.dumps(compute_trace(read_trial_results(run_dir))) + "\n")
    return write_report(run_dir)


def _write_design(
    study: Study, store: Store, trials: Sequence[Mapping[str, Any]], outcomes: Outcomes, run_dir: RunDir
) -> None:
    from search.designs.files import write_design
    from search.designs.judge import compute_design_table
    from search.designs.registry import build_rows

    rows = build_rows(study, {name: store.count(name, "train") for name in study.catalog.names})
    write_design(compute_design_table(trials, outcomes, rows, study.spec), run_dir)
