"""What is told of a selection beside its accuracy: classes, strata and forgetting, as tables in the report's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets_spec.atomic import replace_text
from datasets_spec.canonical import canonical_json
from datasets_spec.store.store import Store
from search.evidence.class_results import compute_class_results, expected_calibration_error, questions_of
from search.evidence.outcomes import Outcomes
from search.evidence.strata import compute_strata, read_strata
from search.ledger.records import BASELINE_ARM, Record, of_arm
from search.study.run_dir import RunDir, RunFile
from search.study.study import Study
from search.vocabulary import Stage


def compute_findings(
    study: Study, store: Store, trials: Sequence[Record], outcomes: Outcomes, chosen: str
) -> dict[str, Any]:
    """Classes, calibration and strata of the selection and of the untrained backbone, on the strongest split.

    Args:
        study: the study.
        store: its data.
        trials: the ledger's trial records.
        outcomes: of their questions.
        chosen: arm of the selection.
    """
    split = "sealed" if any(record["stage"] == Stage.sealed for record in trials) else "confirm"
    arms: dict[str, list[Record]] = {
        "selected": of_arm(trials, chosen),
        "baseline": [r for r in trials if r["stage"] == Stage.baseline or r.get("arm") == BASELINE_ARM],
    }
    strata = read_strata(study.path.resolve().parent / study.spec.strata) if study.spec.strata else {}
    classes, calibration, by_stratum = [], [], []
    for eval_set in study.spec.eval_sets:
        questions = questions_of(store.read(eval_set, split, columns=["sample_id", "options", "answer_index"]))
        for arm, records in arms.items():
            frames = outcomes.frames(records, eval_set, split)
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


def write_findings(findings: Mapping[str, Any], run_dir: RunDir) -> None:
    """Write `report/findings.json`, atomically."""
    replace_text(run_dir / RunFile.findings, canonical_json(dict(findings)) + "\n")
