"""What is told of a selection beside its accuracy: classes, strata and forgetting, as tables in the report's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets_spec.atomic import replace_text
from datasets_spec.canonical import canonical_json
from search.evidence.groups.class_results import compute_class_results, count_rare_classes
from search.evidence.groups.reliability import (
    ALL_SETS,
    ConfidentAnswer,
    confident_answers,
    expected_calibration_error,
    reliability_bins,
)
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
    """Classes, reliability and strata of the selection and of the untrained backbone, on the strongest split.

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
    classes, rare, calibration, by_stratum, bins = [], [], [], [], []
    answers: dict[str, list[ConfidentAnswer]] = {arm: [] for arm in arms}
    for eval_set in spec.eval_sets:
        questions = asked.closed.get((eval_set, split), {})
        num_rare, num_rare_questions = count_rare_classes(questions, asked.groups)
        if num_rare:
            rare.append({"eval_set": eval_set, "num_classes": num_rare, "num_questions": num_rare_questions})
        for arm, records in arms.items():
            frames = outcomes.frames(records, eval_set, split)
            if frames and questions:
                found = compute_class_results(
                    frames, questions, arm=arm, eval_set=eval_set, split=split, groups=asked.groups
                )
                classes += [result.as_dict() for result in found]
                by_seed = [confident_answers([frame], questions) for frame in frames]
                known = [e for seed in by_seed if (e := expected_calibration_error(seed)) is not None]
                if known:
                    calibration.append({"arm": arm, "eval_set": eval_set, "error": sum(known) / len(known)})
                here = [answer for seed in by_seed for answer in seed]
                answers[arm] += here
                bins += reliability_bins(here, asked.groups, arm=arm, eval_set=eval_set)
            matrix = outcomes.of_arm(records, eval_set, split)
            if matrix is not None and asked.strata:
                found_strata = compute_strata(
                    matrix, asked.strata, name=arm, eval_set=eval_set, split=split, groups=asked.groups
                )
                by_stratum += [result.as_dict() for result in found_strata]
    for arm, everywhere in answers.items():
        bins += reliability_bins(everywhere, asked.groups, arm=arm, eval_set=ALL_SETS)
    return {
        "split": split,
        "classes": classes,
        "rare_classes": rare,
        "calibration": calibration,
        "reliability": [each.as_dict() for each in bins],
        "strata": by_stratum,
    }


def write_findings(findings: Mapping[str, Any], run_dir: RunDir) -> None:
    """Write `report/findings.json`, atomically."""
    replace_text(run_dir / RunFile.findings, canonical_json(dict(findings)) + "\n")
