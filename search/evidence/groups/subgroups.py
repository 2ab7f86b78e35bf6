"""What is told of a selection beside its accuracy: classes, strata and forgetting, as tables in the report's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets_spec.atomic import replace_text
from datasets_spec.canonical import canonical_json
from search.evidence.groups.class_results import compute_class_results, expected_calibration_error
from search.evidence.groups.strata import compute_strata
from search.evidence.inputs.questions import Questions
from search.evidence.outcomes import Outcomes
from search.ledger.records import BASELINE_ARM, Record, of_arm
from search.study.run_dir import RunDir, RunFile
from search.study.spec import StudySpec
from search.vocabulary import Stage


def compute_findings(
    spec: StudySpec, asked: Questions, trials: Sequence[Record], outcomes: Outcomes, chosen: str
) -> dict[str, Any]:
    """Classes, calibration and strata of the selection and of the untrained backbone, on the strongest split.

    Args:
        spec: the study.
        asked: the questions of that split.
        trials: the ledger's trial records.
        outcomes: of their questions.
        chosen: arm of the selection.
    """
    split = "sealed" if any(record["stage"] == Stage.sealed for record in trials) else "confirm"
    arms: dict[str, list[Record]] = {
        "selected": of_arm(trials, chosen),
        "baseline": [r for r in trials if r["stage"] == Stage.baseline or r.get("arm") == BASELINE_ARM],
    }
    classes, calibration, by_stratum = [], [], []
    for eval_set in spec.eval_sets:
        questions = asked.closed.get((eval_set, split), {})
        for arm, records in arms.items():
            frames = outcomes.frames(records, eval_set, split)
            if frames and questions:
                found = compute_class_results(frames, questions, arm=arm, eval_set=eval_set, split=split)
                classes += [result.as_dict() for result in found]
                errors = [expected_calibration_error(frame, questions) for frame in frames]
                known = [error for error in errors if error is not None]
                calibration.append({"arm": arm, "eval_set": eval_set, "error": sum(known) / len(known)})
            matrix = outcomes.of_arm(records, eval_set, split)
            if matrix is not None and asked.strata:
                groups = outcomes.groups_of(matrix.sample_ids)
                found_strata = compute_strata(
                    matrix, asked.strata, name=arm, eval_set=eval_set, split=split, groups=groups
                )
                by_stratum += [result.as_dict() for result in found_strata]
    return {"split": split, "classes": classes, "calibration": calibration, "strata": by_stratum}


def write_findings(findings: Mapping[str, Any], run_dir: RunDir) -> None:
    """Write `report/findings.json`, atomically."""
    replace_text(run_dir / RunFile.findings, canonical_json(dict(findings)) + "\n")
