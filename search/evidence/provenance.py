"""Where the figures come from: run.json."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from search.evidence.early_stopping import compute_early_stopping
from search.evidence.inputs.study_facts import StudyFacts
from search.evidence.timeline import compute_phase_seconds, compute_slot_use
from search.ledger.records import Kind, Record, of_kind, tries_of
from search.ledger.secrets import mask_arguments


def run_info(facts: StudyFacts, records: Sequence[Record], made_from: tuple[int, str]) -> dict[str, Any]:
    """Return run.json: where the figures come from.

    Args:
        facts: what is recorded of the study.
        records: the ledger's.
        made_from: how many of its records results are made from, and the digest of their chain.
    """
    spec, environment = facts.spec, facts.environment
    used = {*spec.space.composition.sources, *spec.control_sources, *spec.eval_sets, *spec.retained}
    subsets = {name: subset for name, subset in facts.subsets.items() if name in used and subset.rows}
    writers = of_kind(records, Kind.writer)
    endings = of_kind(records, Kind.ended)
    tries = tries_of(records)
    openings = of_kind(records, Kind.sealed_opened)
    early = compute_early_stopping(records)
    return {
        "study": spec.name,
        "recombine_version": environment.versions["recombine"],
        "versions": environment.versions,
        "source_sha256": environment.source_sha256,
        "ledger": {"records": made_from[0], "sha256": made_from[1]},
        "commands": _commands(writers),
        "seed": spec.seed,
        "confirm_seeds": list(spec.confirm.seeds),
        "started_at": writers[0]["opened_at"] if writers else None,
        # A study that went on after its end, for what had failed or was asked for later, has an end of that, too.
        "finished_at": endings[-1]["ended_at"] if endings else None,
        "wall_s": sum(ending["wall_s"] for ending in endings) if endings else None,
        "num_runs": len(writers),
        "hardware": environment.hardware,
        "backbone": spec.backbone.model_dump(mode="json"),
        "foreign_catalog": facts.foreign_catalog,
        "divided_tests": facts.divided_tests,
        "store_fingerprint": facts.store_fingerprint,
        "task_map": f"{facts.task_map.name} {facts.task_map.version}",
        "quarantine": {name: dict(s.quarantined) for name, s in subsets.items() if s.quarantined},
        "leaked": {name: s.leaked for name, s in subsets.items() if s.leaked},
        "duplicates": {name: s.duplicates for name, s in subsets.items() if s.duplicates},
        "subsets": {
            name: {
                **s.key.model_dump(mode="json"),
                "train_rows": s.rows.get("train", 0),
                "rows": dict(s.rows),
                "groups_known": s.groups_known,
                "rows_with_patient": s.num_grouped,
            }
            for name, s in subsets.items()
        },
        "targets": list(spec.targets),
        "abilities": list(spec.abilities),
        "sealed_openings": len(openings),
        "sealed_opened_before": max((r.get("earlier", 0) for r in openings), default=0),
        "phase_seconds": compute_phase_seconds(tries),
        "slots": [{**asdict(use), "busy_share": use.busy_share} for use in compute_slot_use(tries)],
        "early_stopping": None if early is None else asdict(early),
        "decisions": [record["text"] for record in of_kind(records, Kind.decision)],
        "blind": facts.blind,
        "blind_sealed": facts.blind_sealed,
    }


def _commands(writers: Sequence[Record]) -> list[str]:
    """The different command lines that ran the study, in their order, secrets left out.

    Ledgers of earlier versions hold them as they were typed.
    """
    lines = []
    for writer in writers:
        arguments: Sequence[str] = writer.get("arguments") or ()
        if arguments:
            lines.append(shlex.join(["recombine", *mask_arguments(arguments)]))
    return list(dict.fromkeys(lines))
