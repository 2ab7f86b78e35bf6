"""Words and boxes: how good the answers of each arm are, by the figures that fit their kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from statistics import fmean
from typing import Any, NamedTuple

from search.report.run_files import RunRecords
from search.report.scores import compute_final_rows
from search.report.wording import amount, arm_name, count, percent

SPLIT_ORDER = ("search", "confirm", "sealed")
# Of each kind, in the order shown: figure of an evaluation, and how it is called.
FIGURES = {
    "open": (("correct", "exact"), ("token_f1", "token F1"), ("rouge_l", "ROUGE-L")),
    "box": (("correct", "IoU ≥ 0.5"), ("iou", "mean IoU"), ("ciou", "cIoU")),
}


class AnswerRow(NamedTuple):
    """One arm on one evaluation set; `figures` has one text for each of `AnswerTable.figures`."""

    eval_set: str
    split: str
    arm: str
    num_questions: str
    seeds: str
    figures: tuple[str, ...]
    invalid: str


class AnswerTable(NamedTuple):
    """The arms on questions of one kind, `open` or `box`."""

    kind: str
    figures: tuple[str, ...]
    rows: tuple[AnswerRow, ...]


def compute_free_answers(records: RunRecords) -> tuple[AnswerTable, ...]:
    """Figures of every arm on open and box questions, as means over its seeds; empty for studies without any.

    Args:
        records: A run's files.
    """
    rows = compute_final_rows(records.trials)
    rows = rows[(rows["status"] == "finished") & rows["free_answers"].notna() & (rows["stage"] != "search")]
    by_place: dict[tuple[str, int, str], dict[str, dict[str, Any]]] = {}
    for row in rows.to_dict("records"):
        name = arm_name(row, records.selection or {})
        if name and row["free_answers"] not in ("", "{}") and row["split"] in SPLIT_ORDER:
            place = (str(row["eval_set"]), SPLIT_ORDER.index(row["split"]), name)
            by_place.setdefault(place, {})[str(row["train_id"])] = json.loads(row["free_answers"])
    tables = (_table(kind, by_place) for kind in FIGURES)
    return tuple(table for table in tables if table.rows)


def _table(kind: str, by_place: Mapping[tuple[str, int, str], Mapping[str, Mapping[str, Any]]]) -> AnswerTable:
    rows = []
    for (eval_set, split, arm), trials in sorted(by_place.items()):
        found = [figures[kind] for figures in trials.values() if kind in figures]
        if found:
            shares = [{**figures, "correct": figures["correct"] / figures["n"]} for figures in found]
            rows.append(
                AnswerRow(
                    eval_set=eval_set,
                    split=SPLIT_ORDER[split],
                    arm=arm,
                    num_questions=count(int(found[0]["n"])),
                    seeds=amount(len(found), "seed"),
                    figures=tuple(percent(fmean(share[name] for share in shares)) for name, _ in FIGURES[kind]),
                    invalid=percent(fmean(figures["invalid"] / figures["n"] for figures in found)),
                )
            )
    return AnswerTable(kind=kind, figures=tuple(title for _, title in FIGURES[kind]), rows=tuple(rows))
