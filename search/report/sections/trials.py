"""What was run, one row a trial, and what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from search.report.run_files import RunRecords
from search.report.scores import compute_own_keys, compute_trial_heads, compute_trial_scores
from search.report.wording import (
    NOT_KNOWN,
    STAGES,
    as_mapping,
    composition_text,
    count,
    is_number,
    percent,
    points,
    recipe_text,
)
from search.vocabulary import Stage

# A browser lays out this many rows in well under a second; all rows are in trials.parquet.
MAX_ROWS = 1000
SHORT_ID = 12  # digits of an identity that a reader sees; 48 bits tell a study's trials apart
SPLIT_ORDER = ("search", "confirm", "sealed")


class Cell(NamedTuple):
    """What is printed, and what the column is sorted by."""

    text: str
    sort_key: float | str


class TrialRow(NamedTuple):
    """One trial; `scores` has one cell for each of `TrialTable.splits`."""

    train_id: Cell
    stage: Cell
    arm: Cell
    composition: Cell
    recipe: Cell
    seed: Cell
    num_train_samples: Cell
    train_s: Cell
    status: Cell
    counts: Cell
    scores: tuple[Cell, ...]
    gain: Cell
    cg_gain: Cell


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTable:
    """All trials in the ledger's order.

    Attributes:
        rows: At most `MAX_ROWS`.
        splits: The splits that any trial was scored on, in order.
        num_trials: Trials in all, shown or not.
        failures: The rows whose status is neither finished nor stopped_early.
        statuses: (status, how many), most frequent first.
        num_targets: Targets behind every mean.
        common_recipe: The settings that all trained trials share, in words; a row's recipe holds the others.
        num_not_counted: Trials that trained on the own key of a target, so that they have no objective value.
    """

    rows: tuple[TrialRow, ...]
    splits: tuple[str, ...]
    num_trials: int
    failures: tuple[TrialRow, ...]
    statuses: tuple[tuple[str, int], ...]
    num_targets: int
    common_recipe: str
    num_not_counted: int

    @property
    def listed(self) -> tuple[TrialRow, ...]:
        """The trials that have a row on the page, each once."""
        return tuple({row.train_id: row for row in (*self.rows, *self.failures)}.values())


def compute_trial_table(records: RunRecords) -> TrialTable:
    """One row a trial, with its mean accuracy over the targets on each split.

    Args:
        records: A run's files.

    Returns:
        The rows; none before the first trial.
    """
    heads = compute_trial_heads(records.trials)
    scores = {split: compute_trial_scores(records.trials, records.targets, split) for split in SPLIT_ORDER}
    splits = tuple(split for split, frame in scores.items() if not frame.empty)
    known: dict[str, dict[Any, Any]] = {split: scores[split].to_dict("index") for split in splits}
    own_keys = compute_own_keys(records.trials, records.targets)
    common = _common_settings([as_mapping(head.recipe) for head in heads.itertuples() if head.stage != Stage.baseline])
    rows = []
    for train_id, head in heads.iterrows():
        own = {split: known[split][train_id] for split in splits if train_id in known[split]}
        seen = own_keys.get(str(train_id), ())
        rows.append(_row(str(train_id), head.to_dict(), own, splits, seen, common))
    failures = tuple(row for row in rows if row.status.text not in ("finished", "stopped early"))
    return TrialTable(
        rows=tuple(rows[:MAX_ROWS]),
        splits=splits,
        num_trials=len(rows),
        failures=failures,
        statuses=tuple((str(name), int(size)) for name, size in heads["status"].value_counts().items()),
        num_targets=len(records.targets),
        common_recipe=recipe_text(common),
        num_not_counted=len(own_keys),
    )


def _common_settings(recipes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings that are the same in all of them: said once, they need no line of the table."""
    first = recipes[0] if recipes else {}
    return {
        name: value for name, value in first.items() if value is not None and all(r.get(name) == value for r in recipes)
    }


def _others(recipe: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in recipe.items() if name not in common or common[name] != value}


def _row(
    train_id: str,
    head: dict[Any, Any],
    own: dict[str, dict[Any, Any]],
    splits: tuple[str, ...],
    own_keys: tuple[str, ...],
    common: Mapping[str, Any],
) -> TrialRow:
    is_baseline = head["stage"] == Stage.baseline
    first: dict[Any, Any] = next(iter(own.values()), {})
    text = composition_text(head["composition"])
    total = sum(as_mapping(head["composition"]).values())
    return TrialRow(
        train_id=Cell(train_id[:SHORT_ID], train_id),
        stage=_words(STAGES.get(str(head["stage"]), head["stage"])),
        arm=_words(head["arm"]),
        composition=Cell(text, float(total)),
        recipe=_words(recipe_text({} if is_baseline else _others(as_mapping(head["recipe"]), common))),
        seed=_number(head["seed"], count(head["seed"])),
        num_train_samples=_number(head["num_train_samples"], count(head["num_train_samples"])),
        train_s=_number(head["train_s"], f"{head['train_s']:.1f}" if is_number(head["train_s"]) else NOT_KNOWN),
        status=_words(str(head["status"]).replace("_", " ")),
        counts=_words(f"no: own key of {', '.join(own_keys)}" if own_keys else "yes" if own else None),
        scores=tuple(_share(own[split]["score"] if split in own else None) for split in splits),
        gain=_number(first.get("gain"), points(first.get("gain"))),
        cg_gain=_number(first.get("cg_gain"), points(first.get("cg_gain"))),
    )


def _words(value: Any) -> Cell:
    text = NOT_KNOWN if value is None or value != value else str(value)
    return Cell(text or NOT_KNOWN, text)


def _share(value: Any) -> Cell:
    return _number(value, percent(value))


def _number(value: Any, text: str) -> Cell:
    """Missing numbers sort below every number."""
    return Cell(text, float(value)) if is_number(value) else Cell(NOT_KNOWN, -1e300)
