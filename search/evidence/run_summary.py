"""A finished study in a few numbers, small enough to keep beside a text that quotes it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from datasets_spec.atomic import replace_text
from datasets_spec.errors import UserError
from search.ledger.records import Kind, Record, of_kind, trials_of, tries_of
from search.study.run_dir import RunDir, RunFile

# Of run.json: what a reader needs to judge a figure, and nothing that names a machine or its user.
_KEPT = ("study", "recombine_version", "finished_at", "wall_s", "num_runs", "seed", "confirm_seeds", "phase_seconds")


def summarise_run(run_dir: RunDir) -> dict[str, Any]:
    """What a finished study did, took and found.

    Args:
        run_dir: the study directory, with its report.

    Returns:
        `trials` by stage, seconds from the first start to the last end of each stage (`stage_s`), the selection's
        composition, headline, next step, accuracy by target, and what its mean was compared with (`comparisons`, in
        shares of accuracy, with simultaneous intervals); nothing that differs between machines but seconds.

    Raises:
        UserError: there is no selection yet.
    """
    if not (run_dir / RunFile.selection).is_file():
        raise UserError(f"{run_dir} has no selection yet", hint="`recombine run STUDY` goes on to it")
    run, selection = (_read(run_dir / name) for name in (RunFile.run, RunFile.selection))
    records = run_dir.read_records()
    trials = trials_of(records)
    strongest = "sealed" if any(c["split"] == "sealed" for c in selection["comparisons"]) else "confirm"
    return {
        **{name: run.get(name) for name in _KEPT},
        "processors": run["hardware"]["processors"],
        "trials": dict(sorted(Counter(str(record["stage"]) for record in trials).items())),
        "num_merges": len(of_kind(records, Kind.proxy)),
        "stage_s": _stage_seconds(tries_of(records)),
        "split": strongest,
        "composition": selection["composition"],
        "finding": selection.get("finding"),
        "estimates": selection["estimates"][strongest],
        "comparisons": [
            {
                name: comparison.get(name)
                for name in ("comparator", "difference", "simultaneous_low", "simultaneous_high")
            }
            | {"verdict": comparison["verdict"]}
            for comparison in selection["comparisons"]
            if comparison["split"] == strongest and comparison["eval_set"] == "mean"
        ],
    }


def write_summary(summary: Mapping[str, Any], path: Path) -> None:
    """Write what `summarise_run` returned, atomically."""
    replace_text(path, json.dumps(summary, indent=1, sort_keys=True) + "\n")


def _stage_seconds(trials: Sequence[Record]) -> dict[str, float]:
    """Seconds from the first start of a trial of each stage to the end of its last."""
    spans: dict[str, list[float]] = {}
    for record in trials:
        if record.get("started_at") is not None and not record.get("reused"):
            ended = datetime.fromisoformat(record["finished_at"]).timestamp()
            spans.setdefault(str(record["stage"]), []).extend((float(record["started_at"]), ended))
    return {stage: round(max(times) - min(times), 1) for stage, times in sorted(spans.items())}


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
