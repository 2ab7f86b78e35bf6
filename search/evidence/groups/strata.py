"""Accuracy by site, scanner, sex or whatever a user's table says of each question."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets_spec.errors import UserError
from datasets_spec.nearest import nearest_of
from search.evidence.groups.class_results import num_groups, share_interval
from search.evidence.outcomes import ArmOutcomes

ID_COLUMN = "sample_id"
# A stratum of fewer questions is shown with its others as `(small strata)`: it says nothing, and may name a person.
FEWEST_QUESTIONS = 10
SMALL = "(small strata)"


@dataclass(frozen=True, kw_only=True, slots=True)
class StratumResult:
    """One arm on the questions of one stratum; `num_groups` is `class_results.num_groups` of these."""

    arm: str
    eval_set: str
    split: str
    column: str
    stratum: str
    accuracy: float
    ci_low: float
    ci_high: float
    n: int
    num_seeds: int
    num_groups: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def read_strata(path: Path) -> dict[str, dict[str, str]]:
    """Read a CSV file with a column `sample_id` and any others; return column -> sample id -> stratum.

    Raises:
        UserError: there is no such file, it has no `sample_id`, no other column, or names a question twice.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file", hint="`strata` names a CSV file, relative to the study file")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names = [name for name in reader.fieldnames or [] if name]
        if ID_COLUMN not in names:
            near = nearest_of(ID_COLUMN, names)
            raise UserError(
                f"{path}:1: there is no column '{ID_COLUMN}'" + (f"; '{near}' is near" if near else ""),
                hint="the ids are those of the store; outcomes.parquet of any trial lists them",
            )
        columns: dict[str, dict[str, str]] = {name: {} for name in names if name != ID_COLUMN}
        if not columns:
            raise UserError(f"{path}:1: there is no column beside '{ID_COLUMN}'", hint="add one, for example `site`")
        for line, row in enumerate(reader, start=2):
            sample = row[ID_COLUMN]
            if any(sample in values for values in columns.values()):
                raise UserError(f"{path}:{line}: a question is listed twice", hint="one line a question")
            for name, values in columns.items():
                values[sample] = row[name] or "(not given)"
    return columns


def with_small_merged(strata: Mapping[str, Mapping[str, str]], sample_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """The strata of some questions, those of too few questions among these under one name."""
    merged = {}
    for column, values in strata.items():
        named = {sample: values[sample] for sample in sample_ids if sample in values}
        sizes = Counter(named.values())
        merged[column] = {s: v if sizes[v] >= FEWEST_QUESTIONS else SMALL for s, v in named.items()}
    return merged


def compute_strata(
    arm: ArmOutcomes,
    strata: Mapping[str, Mapping[str, str]],
    *,
    name: str,
    eval_set: str,
    split: str,
    groups: Mapping[str, str] | None = None,
) -> list[StratumResult]:
    """Accuracy of an arm in every stratum of every column, questions that no column names left out.

    Args:
        arm: its outcomes.
        strata: what `read_strata` returned.
        name: of the arm.
        eval_set: name of the evaluation set.
        split: name of the split.
        groups: patient (or image) by sample id, where known; intervals are then cluster-robust.
    """
    results = []
    for column, values in with_small_merged(strata, arm.sample_ids).items():
        merged = [values.get(sample) for sample in arm.sample_ids]
        for stratum in sorted({s for s in merged if s is not None}, key=lambda s: (s == SMALL, s)):
            places = [k for k, s in enumerate(merged) if s == stratum]
            right = arm.right[:, places]
            samples = [arm.sample_ids[k] for k in places]
            interval = share_interval(right.mean(axis=0).tolist(), samples, groups or {})
            results.append(
                StratumResult(
                    arm=name,
                    eval_set=eval_set,
                    split=split,
                    column=column,
                    stratum=stratum,
                    accuracy=float(right.mean()),
                    ci_low=interval.low,
                    ci_high=interval.high,
                    n=len(places),
                    num_seeds=int(np.shape(arm.right)[0]),
                    num_groups=num_groups(samples, groups or {}),
                )
            )
    return results
