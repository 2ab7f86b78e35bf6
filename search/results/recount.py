"""Counts the stored answers of every trial again, and compares the scores that the ledger records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from search.ledger.records import Kind, Record, of_kind
from search.results.differences import NOTHING, Tolerance, find_value_difference
from search.study.run_dir import RunDir
from trainers.scoring.outcome import OUTCOME_SCHEMA, Outcome
from trainers.scoring.summary import count_outcomes
from trainers.trial.folder import outcomes_file, read_outcomes

# Marks of words and boxes are stored with 32 bits, about seven digits, and were averaged with 64.
ROUNDING = Tolerance(relative=1e-5, absolute=1e-6)
# Large, and nothing is counted from them.
_UNCOUNTED = ("log_probs", "gold_log_prob", "predicted", "generated")


def recount(run_dir: RunDir, records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """Yield trial folder and what is wrong for the first score of each that its stored answers do not come to.

    Every score of every trial and of every merge is counted: right answers and their share, letters that were written,
    invalid answers, figures of words and boxes. At a rung only the answers of trials that it stopped are kept.

    Args:
        run_dir: the study directory.
        records: its ledger's.
    """
    for trial_dir, scores in _scores_by_folder(records).items():
        try:
            what = _first_difference(run_dir / trial_dir, scores)
        except (KeyError, OSError, TypeError, ValueError) as error:
            what = f"its outcomes cannot be read: {type(error).__name__}"
        if what != NOTHING:
            yield trial_dir, what


def _first_difference(folder: Path, scores: Sequence[Mapping[str, Any]]) -> str:
    outcomes: dict[str, dict[str, list[Outcome]]] = {}
    for evaluation in scores:
        name, split = str(evaluation["eval_set"]), str(evaluation["split"])
        if not (folder / outcomes_file(split)).is_file():
            continue
        if split not in outcomes:
            outcomes[split] = _read(folder, split)
        what = _difference(evaluation, outcomes[split].get(name, []))
        if what != NOTHING:
            return f"its outcomes are not those the ledger records for {name} ({split}): {what}"
    return NOTHING


def _scores_by_folder(records: Sequence[Record]) -> dict[str, list[Mapping[str, Any]]]:
    """The scores whose answers a folder holds: a trial that went on after a rung has replaced those of the rung."""
    held: dict[str, dict[tuple[str, str], list[Mapping[str, Any]]]] = {}
    for record in (*of_kind(records, Kind.trial), *of_kind(records, Kind.proxy)):
        for evaluation in record.get("evaluations") or ():
            here = held.setdefault(str(record["trial_dir"]), {})
            place = (evaluation["eval_set"], evaluation["split"])
            same = [e for e in here.get(place, ()) if e["score_id"] == evaluation["score_id"]]
            here[place] = [*same, evaluation]
    return {folder: [e for several in by_place.values() for e in several] for folder, by_place in held.items()}


def _read(folder: Path, split: str) -> dict[str, list[Outcome]]:
    table = read_outcomes(folder, [split])
    wanted = [name for name in table.column_names if name in OUTCOME_SCHEMA.names and name not in _UNCOUNTED]
    # Columns were added from version to version: what is not there has not been told.
    told: dict[str, Any] = {
        "predicted": 0, "log_probs": [], "gold_log_prob": None, "generated": None, "generation_correct": None,
        "invalid": False,
    }  # fmt: skip
    by_set: dict[str, list[Outcome]] = {}
    for row in table.select(wanted).to_pylist():
        known = {name: value for name, value in row.items() if value is not None}
        by_set.setdefault(row["eval_set"], []).append(Outcome(**(told | known)))
    return by_set


def _difference(evaluation: Mapping[str, Any], outcomes: Sequence[Outcome]) -> str:
    counted = count_outcomes(outcomes)
    recorded = {name: evaluation[name] for name in counted if name in evaluation}
    return find_value_difference(recorded, {name: counted[name] for name in recorded}, ROUNDING)
