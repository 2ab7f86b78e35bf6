"""What is told of a selection beside its accuracy: classes, strata and forgetting, as tables in the report's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets_spec.atomic import replace_text
from datasets_spec.canonical import canonical_json
from datasets_spec.store.store import Store
from search.evidence.class_results import compute_class_results, expected_calibration_error, questions_of
from search.evidence.outcomes import Outcomes, OutcomesLoader
from search.evidence.strata import compute_strata, read_strata
from search.ledger.records import Record, of_arm, scored_on
from search.study.study import Study
from search.vocabulary import Stage

FINDINGS_FILE = "findings.json"


def compute_findings(
    study: Study, store: Store, trials: Sequence[Record], loader: OutcomesLoader, outcomes: Outcomes, chosen: str
) -> dict[str, Any]:
    """Classes, calibration and strata of the selection and of the untrained backbone, on the strongest split.

    Args:
        study: the study.
        store: its data.
        trials: the ledger's trial records.
        loader: reads the outcomes of a trial folder.
        outcomes: the same, as matrices.
        chosen: arm of the selection.
    """
    split = "sealed" if any(record["stage"] == Stage.sealed for record in trials) else "confirm"
    arms: dict[str, list[Record]] = {
        "selected": of_arm(trials, chosen),
        "baseline": [r for r in trials if r["stage"] == Stage.baseline or r.get("arm") == "baseline"],
    }
    strata = read_strata(study.path.resolve().parent / study.spec.strata) if study.spec.strata else {}
    classes, calibration, by_stratum = [], [], []
    for eval_set in study.spec.eval_sets:
        questions = questions_of(store.read(eval_set, split, columns=["sample_id", "options", "answer_index"]))
        for arm, records in arms.items():
            frames = _frames(records, loader, eval_set, split)
            if frames and questions:
                found = compute_class_results(frames, questions, arm=arm, eval_set=eval_set, split=split)
                classes += [result.as_dict() for result in found]
                errors = [expected_calibration_error(frame, questions) for frame in frames]
                known = [error for error in errors if error is not None]
                calibration.append({"arm": arm, "eval_set": eval_set, "error": sum(known) / len(known)})
            matrix = outcomes.of_arm(records, eval_set, split)
            if matrix is not None and strata:
                groups = outcomes.groups_of(matrix.sample_ids)
                found_strata = compute_strata(matrix, strata, name=arm, eval_set=eval_set, split=split, groups=groups)
                by_stratum += [result.as_dict() for result in found_strata]
    return {"split": split, "classes": classes, "calibration": calibration, "strata": by_stratum}


def write_findings(findings: Mapping[str, Any], folder: Path) -> None:
    """Write `findings.json`, atomically."""
    replace_text(folder / FINDINGS_FILE, canonical_json(dict(findings)) + "\n")


def _frames(records: Sequence[Record], loader: OutcomesLoader, eval_set: str, split: str) -> list[Any]:
    """The outcomes of each seed on one evaluation set, the latest record of a seed."""
    by_seed = {record["seed"]: record for record in records if scored_on(record, eval_set, split) is not None}
    frames = []
    for seed in sorted(by_seed):
        frame = loader(str(by_seed[seed]["trial_dir"]))
        frames.append(frame[(frame["eval_set"] == eval_set) & (frame["split"] == split)])
    return frames
