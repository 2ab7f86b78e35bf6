"""The kinds of records, the names of arms, and how a record is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasets_spec.canonical import canonical_json
from search.vocabulary import Status

Record = Mapping[str, Any]
PROXY_KIND = "proxy"  # of a merge: its scores guide a search, and are no trial's
BASELINE_ARM = "baseline"


def scored_on(record: Record, eval_set: str, split: str) -> Record | None:
    """The evaluation of a finished trial on `eval_set` and `split`; None when there is none."""
    if record.get("kind") != "trial" or record.get("status") != Status.finished:
        return None
    for evaluation in record.get("evaluations", ()):
        if evaluation["eval_set"] == eval_set and evaluation["split"] == split:
            found: Record = evaluation
            return found
    return None


def of_arm(records: Iterable[Record], arm: str) -> list[Record]:
    """The trial records of one arm, in the order of the ledger."""
    return [record for record in records if record.get("kind") == "trial" and record.get("arm") == arm]


def control_arm(target: str) -> str:
    """The arm of the control that is matched to `target`."""
    return f"control:{target}"


def accuracy(correct: Mapping[str, str]) -> float:
    """Return the mean over evaluation sets of the share of right answers."""
    return sum(bits.count("1") / len(bits) for bits in correct.values()) / len(correct)


def rung_records(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the ledger's records of rungs."""
    return [record for record in records if record["kind"] == "rung"]


def training_size(record: Record) -> tuple[int | None, int | None, str]:
    """What a control must share with the trial it is matched to: samples, steps and recipe."""
    return record.get("num_train_samples"), record.get("num_steps"), canonical_json(record.get("recipe") or {})
