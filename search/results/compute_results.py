"""Computes the tables of a study from its ledger, its answers and what is recorded beside them."""

from __future__ import annotations

import json

from datasets_spec.atomic import replace_text
from search.designs.files import write_design
from search.designs.judge import compute_design_table
from search.designs.registry import build_rows
from search.evidence.blind import no_image_shares
from search.evidence.confirmation.comparisons import SplitEvidence
from search.evidence.confirmation.racing import best_finalist
from search.evidence.confirmation.training_cost import cost_front
from search.evidence.explain.explain_study import write_explanation
from search.evidence.groups.subgroups import compute_findings, write_findings
from search.evidence.groups.trial_classes import compute_trial_classes, write_trial_classes
from search.evidence.inputs.recorded_study import RecordedStudy
from search.evidence.matrix.transfer_matrix import compute_transfer, write_transfer_csv
from search.evidence.outcomes import outcomes_of
from search.evidence.provenance import run_info
from search.evidence.selection import SelectionRules, build_selection, finalists_of, write_selection
from search.evidence.timeline import compute_trace, read_trial_results
from search.evidence.trials_table import trials_frame, write_trials_parquet
from search.ledger.ledger import Ledger
from search.ledger.records import BASELINE_ARM, trials_of
from search.study.run_dir import RunDir, RunFile


def compute_results(study: RecordedStudy, run_dir: RunDir) -> None:
    """Write trials.parquet, transfer.csv, selection.json and all other tables, each atomically.

    Args:
        study: what is recorded of the study.
        run_dir: a directory with its ledger and trials.
    """
    spec = study.spec
    with Ledger.open(run_dir / RunFile.ledger, writer=False) as ledger:
        records, made_from = ledger.records(), ledger.evidence()
    trials = trials_of(records)
    outcomes = outcomes_of(run_dir, spec.score, study.questions.groups)
    if spec.design is not None:
        rows = build_rows(study, {name: facts.rows.get("train", 0) for name, facts in study.facts.subsets.items()})
        write_design(compute_design_table(trials, outcomes, rows, spec), run_dir)
    write_trials_parquet(trials_frame(trials, study.keys, spec.score), run_dir / RunFile.trials_table)
    write_trial_classes(compute_trial_classes(trials, outcomes, study.questions), run_dir / RunFile.trial_classes)
    transfer = compute_transfer(trials, outcomes, study.keys, study.task_map, spec.eval_sets, "search", seed=spec.seed)
    write_transfer_csv(transfer, run_dir / RunFile.transfer)
    confirm = SplitEvidence(trials, outcomes, spec.objective_sets, "confirm", seed=spec.seed)
    if best_finalist(confirm, finalists_of(trials)) is not None:
        rules = SelectionRules(
            targets=spec.objective_sets,
            objective=spec.objective,
            retained=spec.retained,
            constraints=spec.constraints,
            kept_sets=spec.kept_sets,
            eval_sets=spec.eval_sets,
            cheaper_within=spec.confirm.cheaper_within,
            front=None if spec.confirm.cheaper_within is None else cost_front(spec, trials),
            no_image={
                "confirm": no_image_shares(study.facts.blind),
                "sealed": no_image_shares(study.facts.blind_sealed),
            },
            comparators=(BASELINE_ARM, *spec.confirm.comparators),
            seed=spec.seed,
        )
        selection = build_selection(records, outcomes, rules)
        write_findings(compute_findings(spec, study.questions, trials, outcomes, selection["arm"]), run_dir)
        write_selection(run_dir, selection, order_seed=spec.seed, store_fingerprint=study.facts.store_fingerprint)
    if spec.design is None:
        write_explanation(study, run_dir, trials)
    info = run_info(study.facts, records, made_from)
    replace_text(run_dir / RunFile.run, json.dumps(info, indent=1, sort_keys=True) + "\n")
    replace_text(run_dir / RunFile.timeline, json.dumps(compute_trace(read_trial_results(run_dir))) + "\n")
