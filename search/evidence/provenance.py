"""Where the figures come from: run.json."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from typing import Any

from datasets_spec.catalog.divided_tests import divided_tests_line
from datasets_spec.store.manifest import StoreManifest
from search.evidence.early_stopping import compute_early_stopping
from search.evidence.timeline import compute_phase_seconds, compute_slot_use
from search.ledger.records import Kind, of_kind, trials_of
from search.study.foreign_catalog import foreign_catalog_warning
from search.study.study import Study

REPORTED_PACKAGES = ("recombine", "ray", "torch", "transformers", "peft", "optuna", "pyarrow", "numpy", "pillow")


def run_info(
    study: Study,
    manifest: StoreManifest,
    records: tuple[Mapping[str, Any], ...],
) -> dict[str, Any]:
    """Return run.json: where the figures come from."""
    spec = study.spec
    used = {*spec.space.composition.sources, *spec.control_sources, *spec.eval_sets, *spec.retained}
    counts = {name: manifest.subsets[name] for name in manifest.subsets if name in used}
    writers = of_kind(records, Kind.writer)
    endings = of_kind(records, Kind.ended)
    trials = trials_of(records)
    openings = of_kind(records, Kind.sealed_opened)
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
        "foreign_catalog": foreign_catalog_warning(study),
        "divided_tests": divided_tests_line(study.catalog, spec.eval_sets),
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
                "rows_with_patient": c.num_grouped,
            }
            for name, c in counts.items()
        },
        "targets": list(spec.targets),
        "abilities": list(spec.abilities),
        "sealed_openings": len(openings),
        "sealed_opened_before": max((r.get("earlier", 0) for r in openings), default=0),
        "phase_seconds": compute_phase_seconds(trials),
        "slots": [{**asdict(use), "busy_share": use.busy_share} for use in compute_slot_use(trials)],
        "early_stopping": None if early is None else asdict(early),
        "decisions": [record["text"] for record in of_kind(records, Kind.decision)],
    }
