"""What each subset adds, from `report/explanation.json`: Banzhaf values as a picture, other effects as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.report.run_files import RunRecords, leading_effects
from search.report.wording import interval, points
from search.statistics.ties import descending

WORDS = {
    "banzhaf": "subset",
    "interaction": "two subsets together",
    "element": "one more subset that shares it",
    "adding": "added to the selection",
    "new dataset": "new dataset, from its key",
}
EFFECT_COLUMNS = ("what", "subject", "points", "95 % interval", "clear")
MOST_INTERACTIONS = 8


def compute_effect_table(records: RunRecords) -> tuple[tuple[str, ...], ...]:
    """Elements, additions to the selection and the largest interactions, as text."""
    pairs = list(leading_effects(records, "interaction"))
    largest = descending([abs(float(effect["value"])) for effect in pairs])[:MOST_INTERACTIONS]
    single = [*leading_effects(records, "element"), *leading_effects(records, "adding")]
    chosen = [*single, *(pairs[place] for place in largest)]
    return tuple(
        (
            WORDS[str(effect["kind"])],
            marked_subject(effect),
            points(effect["value"]),
            interval(effect["ci_low"], effect["ci_high"], signed=True),
            "yes" if effect["is_clear"] else "",
        )
        for effect in chosen
    )


def marked_subject(effect: Mapping[str, Any]) -> str:
    """With the mark where compositions of a size that no trial had are compared; older files have none."""
    why = effect.get("extrapolation")
    return f"{effect['subject']} ({why})" if why else str(effect["subject"])
