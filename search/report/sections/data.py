"""What data the study had: subsets, their keys and rows, and the rows that were set aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from search.report.run_files import RunRecords
from search.report.wording import NOT_KNOWN, count, is_number

PATIENTS = {"True": "known", "False": "unknown"}
SPLITS = ("train", "search", "confirm", "sealed")


class SubsetRow(NamedTuple):
    """One subset.

    `rows` has one count for each of `DataTable.row_columns`, `reasons` one for each reason. `leaked` rows were
    taken out of training because a copy of theirs is evaluated; `patients` says whether patients are known, and so
    kept in one split.
    """

    name: str
    roles: str
    modality: str
    area: str
    task: str
    ability: str
    rows: tuple[str, ...]
    duplicates: str
    leaked: str
    patients: str
    quarantined: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataTable:
    """All subsets of the study.

    Attributes:
        subsets: By name.
        row_columns: The splits that occur.
        reasons: Every quarantine reason that occurs, most frequent first.
        num_quarantined: Rows set aside, over all subsets.
    """

    subsets: tuple[SubsetRow, ...]
    row_columns: tuple[str, ...]
    reasons: tuple[str, ...]
    num_quarantined: int


def compute_data_table(records: RunRecords) -> DataTable:
    """Keys and counts from `run.json`; never a row's content.

    Args:
        records: A run's files.

    Returns:
        No subsets when `run.json` is missing.
    """
    subsets: Mapping[str, Mapping[str, Any]] = records.run.get("subsets") or {}
    quarantine: Mapping[str, Mapping[str, int]] = records.run.get("quarantine") or {}
    totals: dict[str, int] = {}
    for reasons in quarantine.values():
        for reason, number in reasons.items():
            totals[reason] = totals.get(reason, 0) + number
    ordered = tuple(sorted((name for name, size in totals.items() if size), key=lambda name: (-totals[name], name)))
    columns = tuple(
        split for split in SPLITS if any(split in (record.get("rows") or {}) for record in subsets.values())
    )
    names = sorted(set(subsets) | set(quarantine))
    roles = {
        "target": set(records.run.get("targets") or ()),
        "ability": set(records.run.get("abilities") or ()),
    }
    return DataTable(
        subsets=tuple(
            _subset_row(name, records.run, subsets.get(name) or {}, quarantine.get(name) or {}, columns, ordered, roles)
            for name in names
        ),
        row_columns=columns,
        reasons=ordered,
        num_quarantined=sum(totals.values()),
    )


def _subset_row(
    name: str,
    run: Mapping[str, Any],
    record: Mapping[str, Any],
    reasons: Mapping[str, int],
    columns: tuple[str, ...],
    ordered: tuple[str, ...],
    roles: Mapping[str, set[str]],
) -> SubsetRow:
    element = {key: str(record.get(key) or NOT_KNOWN) for key in ("modality", "area", "task")}
    ability = str(record.get("ability") or "none")
    return SubsetRow(
        name=name,
        roles=", ".join(role for role, members in roles.items() if name in members) or "source",
        **element,
        ability=NOT_KNOWN if ability == "none" else ability,
        rows=tuple(count((record.get("rows") or {}).get(column, 0)) for column in columns),
        duplicates=count((run.get("duplicates") or {}).get(name, 0)),
        leaked=count((run.get("leaked") or {}).get(name, 0)),
        patients=_patients(record),
        quarantined=count(sum(size for size in reasons.values() if is_number(size))),
        reasons=tuple(count(reasons.get(reason, 0)) for reason in ordered),
    )


def _patients(record: Mapping[str, Any]) -> str:
    named = record.get("rows_with_patient")
    if named and not record.get("groups_known"):
        return f"known for {count(named)} rows"
    return PATIENTS.get(str(record.get("groups_known")), NOT_KNOWN)
