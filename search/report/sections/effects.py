"""What each subset adds, from `report/explanation.json`: Banzhaf values as a picture, other effects as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from search.report.figures.forest import COLUMNS
from search.report.run_files import RunRecords
from search.report.wording import interval, points

WORDS = {
    "banzhaf": "subset",
    "interaction": "two subsets together",
    "element": "one more subset that shares it",
    "adding": "added to the selection",
    "new dataset": "new dataset, from its key",
}
EFFECT_COLUMNS = ("what", "subject", "points", "95 % interval", "clear")
MOST_INTERACTIONS = 8


def compute_effect_rows(records: RunRecords) -> pd.DataFrame:
    """Banzhaf values over all targets, largest first, for the picture; no rows where nothing was explained."""
    values = sorted(_leading(records, "banzhaf"), key=lambda effect: -float(effect["value"]))
    return pd.DataFrame(
        [
            {
                "row": effect["subject"],
                "what": "added to a composition of the others",
                "difference": 100 * effect["value"],
                "low": 100 * effect["ci_low"],
                "high": 100 * effect["ci_high"],
                "verdict": _word(effect),
                "note": f"on {effect['target']}",
            }
            for effect in values
        ],
        columns=list(COLUMNS),
    )


def compute_effect_table(records: RunRecords) -> tuple[tuple[str, ...], ...]:
    """Elements, additions to the selection and the largest interactions, as text."""
    pairs = sorted(_leading(records, "interaction"), key=lambda effect: -abs(float(effect["value"])))
    chosen = [*_leading(records, "element"), *_leading(records, "adding"), *pairs[:MOST_INTERACTIONS]]
    return tuple(
        (
            WORDS[str(effect["kind"])],
            str(effect["subject"]),
            points(effect["value"]),
            interval(effect["ci_low"], effect["ci_high"], signed=True),
            "yes" if effect["is_clear"] else "",
        )
        for effect in chosen
    )


def _leading(records: RunRecords, kind: str) -> list[Mapping[str, Any]]:
    """Effects of a kind over all targets: on their mean where there are several."""
    found = [e for e in (records.explanation or {}).get("effects", ()) if e["kind"] == kind]
    overall = [effect for effect in found if effect["target"] in ("mean", "all")]
    return overall or found


def _word(effect: Mapping[str, Any]) -> str:
    if not effect["is_clear"]:
        return "not clear"
    return "adds" if effect["value"] > 0 else "takes away"
