"""Writes what a study found: tables, selection, run.json and the report; all of it again from the ledger alone."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from datasets_spec.atomic import replace_text
from datasets_spec.store.manifest import StoreManifest
from datasets_spec.store.store import Store, open_store
from search.engine.rungs import compute_early_stopping
from search.evidence.outcomes import Outcomes
from search.evidence.timeline import compute_phase_seconds, compute_slot_use, compute_trace, read_results
from search.ledger.ledger import Ledger
from search.outcome_files import outcomes_loader
from search.study.load_study import Study
from search.study.run_dir import RUN_FILE
from search.study.spec import StudySpec
from search.vocabulary import Stage

REPORTED_PACKAGES = ("recombine", "ray", "torch", "transformers", "peft", "optuna", "pyarrow", "numpy", "pillow")


def write_results(study: Study, run_dir: Path) -> Path:
    """Write tables, selection, run.json and report from ledger and outcomes; return the report's path.

    Args:
        study: the study.
        run_dir: its directory.
    """
    from search.evidence.blind import blind_figures
    from search.evidence.explain.explain_study import write_explanation
    from search.evidence.selection import build_selection, write_selection
    from search.evidence.subgroups import compute_findings, write_findings
    from search.evidence.transfer_matrix import compute_transfer, write_transfer_csv
    from search.evidence.trials_table import trials_frame, write_trials_parquet
    from search.report import write_report

    spec, store = study.spec, open_store(study.store_dir)
    with Ledger.open(run_dir / "ledger", writer=False) as ledger:
        records = ledger.records()
    trials = [record for record in records if record["kind"] == "trial"]
    keys = {name: study.catalog.subset(name).key for name in study.catalog.names}
    loader = outcomes_loader(run_dir, spec.score)
    sealed_open = any(record["kind"] == "sealed_opened" for record in records)
    groups = _groups(store, spec, ("search", "confirm", "sealed") if sealed_open else ("search", "confirm"))
    if spec.design is not None:
        _write_design(study, store, trials, Outcomes(loader, groups), run_dir)
    write_trials_parquet(trials_frame(trials, keys, spec.score), run_dir / "report" / "trials.parquet")
    transfer = compute_transfer(
        trials, loader, keys, study.task_map, spec.eval_sets, "search", groups=groups, seed=spec.seed
    )
    write_transfer_csv(transfer, run_dir / "report" / "transfer.csv")
    if any(record["stage"] == Stage.confirm for record in trials):
        selection = build_selection(
            trials,
            loader,
            targets=spec.objective_sets,
            objective=spec.objective,
            retained=spec.retained,
            groups=groups,
            seed=spec.seed,
        )
        findings = compute_findings(study, store, trials, loader, Outcomes(loader, groups), selection["arm"])
        write_findings(findings, run_dir / "report")
        write_selection(run_dir / "selection", selection, order_seed=spec.seed, store_fingerprint=store.fingerprint)
    if spec.design is None:
        write_explanation(study, run_dir, trials)
    info = run_info(study, store.manifest, records) | {"blind": blind_figures(store, spec.eval_sets, spec.score)}
    replace_text(run_dir / RUN_FILE, json.dumps(info, indent=1, sort_keys=True) + "\n")
    replace_text(run_dir / "report" / "timeline.json", json.dumps(compute_trace(read_results(run_dir))) + "\n")
    return write_report(run_dir)


def _write_design(
    study: Study, store: Store, trials: Sequence[Mapping[str, Any]], outcomes: Outcomes, run_dir: Path
) -> None:
    from search.designs.files import write_design
    from search.designs.registry import build_rows
    from search.designs.table import compute_design_table

    rows = build_rows(study, {name: store.count(name, "train") for name in study.catalog.names})
    write_design(compute_design_table(trials, outcomes, rows, study.spec), run_dir / "report")


def run_info(
    study: Study,
    manifest: StoreManifest,
    records: tuple[Mapping[str, Any], ...],
) -> dict[str, Any]:
    """Return run.json: where the figures come from."""
    spec = study.spec
    used = {*spec.space.composition.sources, *spec.control_sources, *spec.eval_sets, *spec.retained}
    counts = {name: manifest.subsets[name] for name in manifest.subsets if name in used}
    writers = [record for record in records if record["kind"] == "writer"]
    endings = [record for record in records if record["kind"] == "ended"]
    trials = [record for record in records if record["kind"] == "trial"]
    early = compute_early_stopping(records)
    return {
        "study": spec.name,
        "recombine_version": metadata.version("recombine"),
        "versions": {name: metadata.version(name) for name in REPORTED_PACKAGES},
        "seed": spec.seed,
        "confirm_seeds": list(spec.confirm.seeds),
        "started_at": writers[0]["opened_at"] if writers else None,
        "finished_at": endings[0]["ended_at"] if endings else None,
        "wall_s": endings[0]["wall_s"] if endings else None,
        "num_runs": len(writers),
        "hardware": {"processors": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "backbone": spec.backbone.model_dump(mode="json"),
        "store_fingerprint": manifest.fingerprint,
        "task_map": f"{study.task_map.name} {study.task_map.version}",
        "quarantine": {name: dict(c.quarantined) for name, c in counts.items() if c.quarantined},
        "leaked": {name: c.leaked for name, c in counts.items() if c.leaked},
        "duplicates": {name: c.duplicates for name, c in counts.items() if c.duplicates},
        "subsets": {
            name: {
                **c.key.model_dump(mode="json"),
                "train_rows": c.splits.get("train", 0),
                "rows": dict(c.splits),
                "groups_known": c.groups_known,
            }
            for name, c in counts.items()
        },
        "targets": list(spec.targets),
        "abilities": list(spec.abilities),
        "sealed_openings": sum(record["kind"] == "sealed_opened" for record in records),
        "sealed_opened_before": max((r.get("earlier", 0) for r in records if r["kind"] == "sealed_opened"), default=0),
        "phase_seconds": compute_phase_seconds(trials),
        "slots": [{**asdict(use), "busy_share": use.busy_share} for use in compute_slot_use(trials)],
        "early_stopping": None if early is None else asdict(early),
        "decisions": [record["text"] for record in records if record["kind"] == "decision"],
    }


def _groups(store: Store, spec: StudySpec, splits: tuple[str, ...]) -> dict[str, str]:
    """Return patient or study by sample id, where known: questions about one patient are not independent.

    Where patients are unknown, questions about one image are a group.
    """
    groups: dict[str, str] = {}
    for split in splits:
        for name in spec.sets_on(split):
            rows = store.read(name, split, columns=["sample_id", "group", "image_hashes"]).to_pylist()
            images = Counter(image for row in rows for image in set(row["image_hashes"]))
            for row in rows:
                shared = [image for image in sorted(row["image_hashes"]) if images[image] > 1]
                if row["group"] is not None:
                    groups[row["sample_id"]] = f"{name}/{row['group']}"
                elif shared:
                    groups[row["sample_id"]] = f"{name}/image {shared[0]}"
    return groups
