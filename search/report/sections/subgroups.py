"""Classes, strata and forgetting of the selection, as tables that are ready to print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.evidence.groups.class_results import FEWEST_PATIENTS
from search.evidence.groups.reliability import ALL_SETS
from search.report.run_files import RunRecords
from search.report.wording import NOT_KNOWN, amount, count, interval, p_value, percent, points

TOO_FEW = "too few to say"
# Fewer questions than these leave intervals that reach over most of the scale.
FEWEST_QUESTIONS = 10
ARM_WORDS = {"selected": "selected mix", "baseline": "untrained"}
CLASS_COLUMNS = (
    "evaluation set",
    "class",
    "arm",
    "sensitivity",
    "specificity",
    "AUROC",
    "overstated by",
    "n",
    "clusters",
)
STRATUM_COLUMNS = ("evaluation set", "column", "stratum", "arm", "accuracy", "95 % interval", "n", "clusters")
RELIABILITY_COLUMNS = (
    "evaluation set",
    "arm",
    "probability, %",
    "mean, %",
    "right",
    "95 % interval",
    "answers",
    "questions",
    "clusters",
)
RETAINED_COLUMNS = (
    "evaluation set",
    "untrained",
    "selected mix",
    "points",
    "simultaneous 95 % interval",
    "adjusted p",
    "verdict",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingTables:
    """Rows of text; no rows where a study has none.

    Attributes:
        split: where classes and strata were scored.
        rare_classes: sentences on the classes that have too few questions, one an evaluation set.
        calibration: sentences, one an evaluation set and arm.
        reliability_rows: the bins of the reliability curve.
    """

    split: str
    class_rows: tuple[tuple[str, ...], ...]
    rare_classes: tuple[str, ...]
    calibration: tuple[str, ...]
    reliability_rows: tuple[tuple[str, ...], ...]
    stratum_rows: tuple[tuple[str, ...], ...]
    retained_rows: tuple[tuple[str, ...], ...]


def compute_finding_tables(records: RunRecords) -> FindingTables:
    """The tables of a run; empty ones before there is a selection.

    Args:
        records: A run's files.
    """
    findings: Mapping[str, Any] = records.findings or {}
    retained: Sequence[Mapping[str, Any]] = (records.selection or {}).get("retained") or ()
    return FindingTables(
        split=str(findings.get("split") or ""),
        class_rows=tuple(_class_row(entry) for entry in findings.get("classes") or ()),
        rare_classes=tuple(
            f"{entry['eval_set']}: {amount(entry['num_classes'], 'further answer')} with "
            f"{amount(entry['num_questions'], 'question')} in all: {TOO_FEW}."
            for entry in findings.get("rare_classes") or ()
        ),
        reliability_rows=tuple(_bin_row(entry) for entry in findings.get("reliability") or ()),
        calibration=tuple(
            f"{entry['eval_set']}, {ARM_WORDS.get(entry['arm'], entry['arm'])}: expected calibration error "
            f"{percent(entry['error'])}."
            for entry in findings.get("calibration") or ()
        ),
        stratum_rows=tuple(_stratum_row(entry) for entry in findings.get("strata") or ()),
        retained_rows=tuple(_retained_row(entry) for entry in retained),
    )


def _class_row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    def with_interval(name: str) -> str:
        span = interval(entry[f"{name}_low"], entry[f"{name}_high"], signed=False)
        return f"{percent(entry[name])} ({span})"

    return (
        str(entry["eval_set"]),
        str(entry["label"]),
        ARM_WORDS.get(entry["arm"], str(entry["arm"])),
        with_interval("sensitivity"),
        with_interval("specificity"),
        f"{entry['auroc']:.3f}",
        points(entry["calibration"]),
        f"{count(entry['num_positive'])} of {count(entry['num_positive'] + entry['num_negative'])}",
        count(entry.get("num_groups")),
    )


def _stratum_row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(entry["eval_set"]),
        str(entry["column"]),
        str(entry["stratum"]),
        ARM_WORDS.get(entry["arm"], str(entry["arm"])),
        *_told(entry),
        count(entry["n"]),
        count(entry.get("num_groups")),
    )


def _bin_row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        "all together" if entry["eval_set"] == ALL_SETS else str(entry["eval_set"]),
        ARM_WORDS.get(entry["arm"], str(entry["arm"])),
        f"{100 * entry['low']:.0f} to {100 * entry['high']:.0f}",
        f"{100 * entry['confidence']:.1f}",
        *_told(entry),
        count(entry["n"]),
        count(num_questions(entry)),
        count(entry.get("num_groups")),
    )


def is_told(entry: Mapping[str, Any]) -> bool:
    """Whether a part of the questions is large enough to say anything of it.

    Args:
        entry: with `n`, of answers of several seeds `num_questions`, and `num_groups` where patients are known.
    """
    num_groups = entry.get("num_groups")
    return bool(num_questions(entry) >= FEWEST_QUESTIONS and (num_groups is None or num_groups >= FEWEST_PATIENTS))


def num_questions(entry: Mapping[str, Any]) -> int:
    """Of a part: its `n`, where that does not count the answers of several seeds."""
    return int(entry.get("num_questions", entry["n"]))


def _told(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Accuracy and interval; of few questions or patients neither."""
    if not is_told(entry):
        return TOO_FEW, NOT_KNOWN
    return percent(entry["accuracy"]), interval(entry["ci_low"], entry["ci_high"], signed=False)


def _retained_row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    detectable = f" (could have seen {points(entry['minimum_detectable'], signed=False)})"
    return (
        str(entry["eval_set"]),
        percent(entry["before"]),
        percent(entry["after"]),
        points(entry["difference"]),
        interval(entry.get("simultaneous_low"), entry.get("simultaneous_high"), signed=True),
        p_value(entry["p_adjusted"]),
        str(entry["verdict"]) + (detectable if entry["verdict"] == "no difference detected" else ""),
    )
