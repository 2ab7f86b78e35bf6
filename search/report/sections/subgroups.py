"""Classes, strata and forgetting of the selection, as tables that are ready to print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.report.run_files import RunRecords
from search.report.wording import count, interval, p_value, percent, points

ARM_WORDS = {"selected": "selected mix", "baseline": "untrained"}
CLASS_COLUMNS = ("evaluation set", "class", "arm", "sensitivity", "specificity", "AUROC", "overstated by", "n")
STRATUM_COLUMNS = ("evaluation set", "column", "stratum", "arm", "accuracy", "95 % interval", "n")
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
        calibration: sentences, one an evaluation set and arm.
    """

    split: str
    class_rows: tuple[tuple[str, ...], ...]
    calibration: tuple[str, ...]
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
    )


def _stratum_row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(entry["eval_set"]),
        str(entry["column"]),
        str(entry["stratum"]),
        ARM_WORDS.get(entry["arm"], str(entry["arm"])),
        percent(entry["accuracy"]),
        interval(entry["ci_low"], entry["ci_high"], signed=False),
        count(entry["n"]),
    )


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
