"""What a study asks its selection to be compared with, and what of it was not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from search.ledger.records import Kind, Record, is_complete, is_control, of_arm, of_kind, trials_of
from search.space.composition import Composition
from search.vocabulary import Status

_IS_SELECTION = "it is the selection itself"


def comparator_decision(name: str, what: str) -> str:
    """How a decision about a comparator is written down."""
    return f"comparator {name}: {what}"


def is_selection(selected: Composition) -> str:
    """What is decided about a comparator that is the selection: which one, for another may be chosen later."""
    return f"{_IS_SELECTION}, {selected}"


def missing_comparators(
    asked: Sequence[str], compared: Collection[str], records: Sequence[Record], chosen: str
) -> list[dict[str, Any]]:
    """The entries of selection.json: each comparator without a comparison, and what is known of the reason.

    Args:
        asked: comparators of the study.
        compared: those that the selection was compared with over all targets, on the split that the verdict rests on.
        records: the ledger's.
        chosen: arm of the selection, whose seeds comparators have, too.
    """
    trials, decisions = trials_of(records), [str(record["text"]) for record in of_kind(records, Kind.decision)]
    of_chosen = of_arm(trials, chosen)
    seeds = {record["seed"] for record in of_chosen}
    # Earlier versions did not name the selection.
    itself = {_IS_SELECTION, *(is_selection(Composition(record["composition"])) for record in of_chosen)}
    failed = [str(r["arm"]) for r in trials if r["seed"] in seeds and r["status"] != Status.finished]
    return [
        {
            "comparator": name,
            "num_failed": sum(is_control(arm) if name == "control" else arm == name for arm in failed),
            "decided": _decided(name, decisions),
            "may_come": not is_complete(records),
        }
        for name in asked
        if name not in compared and not any(comparator_decision(name, what) in decisions for what in itself)
    ]


def _decided(name: str, decisions: Sequence[str]) -> str | None:
    """What was decided last; that it was the selection is no reason where another is selected since."""
    start = comparator_decision(name, "")
    told = [text.removeprefix(start) for text in decisions if text.startswith(start)]
    return next((what for what in reversed(told) if not what.startswith(_IS_SELECTION)), None)
