"""How numbers and names read on the page: one place, so that text, tables and charts agree."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from search.evidence.finding.points import points_text, span_text
from search.ledger.records import finalist_rank
from search.vocabulary import COMPARATORS
from trainers.recipe import SPLITTING_FIELDS

NOT_KNOWN = "–"
MINUS = "−"

STAGES = {
    "baseline": "baseline",
    "search": "search trial",
    "single": "single subset",
    "control": "control",
    "confirm": "finalist or comparator",
    "sealed": "finalist or comparator",
    "design": "arm of the design",
}


def is_number(value: Any) -> bool:
    """Whether a value from JSON or a frame is a finite number."""
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def percent(share: Any) -> str:
    """0.8125 -> "81.3 %" (an accuracy)."""
    return f"{100 * share:.1f}\u00a0%" if is_number(share) else NOT_KNOWN


def points(difference: Any, *, signed: bool = True) -> str:
    """0.041 -> "+4.1" (a difference of accuracies, in percentage points)."""
    if not is_number(difference):
        return NOT_KNOWN
    return points_text(difference, signed=signed).replace("-", MINUS)


def interval(low: Any, high: Any, *, signed: bool) -> str:
    """(0.01, 0.04) -> "+1.0 to +4.0" (percent for accuracies, points for differences)."""
    if not (is_number(low) and is_number(high)):
        return "no interval"
    if signed:
        return span_text(low, high).replace("-", MINUS)
    return f"{100 * low:.1f} to {100 * high:.1f}"


def count(value: Any) -> str:
    """1234.0 -> "1 234" with a thin space that never breaks."""
    return f"{int(value):,}".replace(",", "\u202f") if is_number(value) else NOT_KNOWN


def p_value(value: Any) -> str:
    """0.00004 -> "< 0.001"."""
    if not is_number(value):
        return NOT_KNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: Any) -> str:
    """4000 -> "1 h 7 min"."""
    if not is_number(seconds):
        return NOT_KNOWN
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def amount(number: Any, noun: str) -> str:
    """(1, "seed") -> "1 seed"; (3, "seed") -> "3 seeds"."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def as_mapping(value: Any) -> dict[str, Any]:
    """A composition or recipe as it stands in a table (canonical JSON) or in JSON (a mapping)."""
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, str) or not value:
        return {}
    try:
        parsed = json.loads(value)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def composition_text(value: Any) -> str:
    """A composition on one line: "a:240 + b:120"."""
    parts = [f"{subset}:{num_samples}" for subset, num_samples in sorted(as_mapping(value).items())]
    return " + ".join(parts) if parts else "nothing (untrained)"


def recipe_text(value: Any) -> str:
    """A recipe on one line: "batch_size 32, learning_rate 0.005"."""
    return ", ".join(f"{name} {number_text(setting)}" for name, setting in sorted(as_mapping(value).items()))


def number_text(value: Any) -> str:
    """A setting as a person would write it: 0.00031622 -> "0.000316"."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def comparator_name(comparator: Any, *, short: bool = False) -> str:
    """What a comparator is, for someone who has not read the design; `short` for charts."""
    text = str(comparator)
    kind, _, detail = text.partition(":")
    if kind not in COMPARATORS:
        return text
    name = COMPARATORS[kind].short if short else COMPARATORS[kind].long
    return f"{name}, {detail}" if detail else name


def key_text(record: Mapping[str, Any]) -> str:
    """A key: "MRI · brain · classification" and the ability where there is one."""
    names = [str(record[element]) for element in ("modality", "area", "task") if record.get(element)]
    if str(record.get("ability") or "none") != "none":
        names.append(str(record["ability"]))
    return " · ".join(names) or NOT_KNOWN


def arm_name(row: Mapping[Any, Any], selection: Mapping[str, Any]) -> str:
    """How an arm is called; "" where it says nothing: a target's control on another target."""
    kind, _, detail = str(row["arm"]).partition(":")
    if kind == "control" and detail:
        return comparator_name(kind, short=True) if detail == row["eval_set"] else ""
    if (rank := finalist_rank(kind)) is not None:
        return "Selected" if _is_selected(row, selection) else f"Finalist {rank}"
    return comparator_name(row["arm"], short=True)


def _is_selected(row: Mapping[Any, Any], selection: Mapping[str, Any]) -> bool:
    """Same composition, and same recipe in every setting that both name and that decides the result."""
    composition, recipe = as_mapping(selection.get("composition")), as_mapping(selection.get("recipe"))
    own = as_mapping(row["recipe"])
    is_same = as_mapping(row["composition"]) == composition
    return (
        bool(composition)
        and is_same
        and all(name in SPLITTING_FIELDS or own.get(name, value) == value for name, value in recipe.items())
    )
