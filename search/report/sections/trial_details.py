"""What the row of a trial opens to: composition, recipe, rungs, scores, and right answers by class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from search.evidence.groups.trial_classes import RARE
from search.report.run_files import RunRecords
from search.report.sections.subgroups import is_told
from search.report.wording import NOT_KNOWN, as_mapping, count, interval, key_text, number_text, percent, points
from search.vocabulary import Stage

# A page without scripts holds every opened row as elements: above this many lines it leaves scores and classes to the
# tables beside it, and says so.
MAX_FLAT_LINES = 6000


class DetailTable(NamedTuple):
    """A small table of texts."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialDetails:
    """What each trial opens to.

    Attributes:
        tables: By train_id; tables without rows are left out.
        num_lines: Of all of them together.
    """

    tables: Mapping[str, tuple[DetailTable, ...]]
    num_lines: int

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, every heading once."""
        heads = sorted({(table.title, table.columns) for tables in self.tables.values() for table in tables})
        place = {head: number for number, head in enumerate(heads)}
        return {
            "heads": [[title, list(columns)] for title, columns in heads],
            "trials": {
                train_id: [[place[table.title, table.columns], [list(row) for row in table.rows]] for table in tables]
                for train_id, tables in self.tables.items()
            },
        }

    @property
    def is_long(self) -> bool:
        """Whether a page without scripts cannot hold them all."""
        return self.num_lines > MAX_FLAT_LINES

    def for_flat_page(self) -> Mapping[str, tuple[DetailTable, ...]]:
        """Those of a page without scripts: composition, recipe and rungs alone where all would be too long to mail."""
        if not self.is_long:
            return self.tables
        return {
            train_id: tuple(table for table in tables if table.title not in ("Scores", "Right answers by class"))
            for train_id, tables in self.tables.items()
        }


def compute_trial_details(records: RunRecords, train_ids: Iterable[float | str]) -> TrialDetails:
    """Tables of the given trials; nothing in them names a question or a patient.

    Args:
        records: A run's files.
        train_ids: The trials that have a row on the page.
    """
    keys = records.run.get("subsets") or {}
    wanted = {str(train_id) for train_id in train_ids}
    trials = records.trials[records.trials["train_id"].isin(wanted)]
    classes = _class_rows(records, wanted)
    tables = {}
    for train_id, rows in trials.groupby("train_id", sort=False):
        found = (
            DetailTable("Composition", ("subset", "samples", "key"), _composition(rows.iloc[0], keys)),
            DetailTable("Recipe", ("setting", "value"), _recipe(rows.iloc[0])),
            DetailTable("Rungs", ("step", "evaluation set", "split", "accuracy"), _rungs(rows)),
            DetailTable(
                "Scores",
                ("evaluation set", "split", "accuracy", "95\u00a0% interval", "n", "gain", "CG gain", "exposure"),
                _scores(rows),
            ),
            DetailTable(
                "Right answers by class", ("evaluation set", "split", "class", "right", "of"), classes[train_id]
            ),
        )
        tables[str(train_id)] = tuple(table for table in found if table.rows)
    num_lines = sum(len(table.rows) for several in tables.values() for table in several)
    return TrialDetails(tables=tables, num_lines=num_lines)


def _composition(head: pd.Series[Any], keys: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    composition = as_mapping(head["composition"])
    largest_first = sorted(composition.items(), key=lambda item: (-item[1], item[0]))
    return tuple((name, count(size), key_text(keys.get(name) or {})) for name, size in largest_first)


def _recipe(head: pd.Series[Any]) -> tuple[tuple[str, ...], ...]:
    if head["stage"] == Stage.baseline:
        return ()
    recipe = as_mapping(head["recipe"])
    return tuple((name, number_text(value)) for name, value in sorted(recipe.items()) if value is not None)


def _rungs(rows: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    rungs = rows[rows["rung"].notna() & rows["accuracy"].notna()]
    rungs = rungs.drop_duplicates(["rung", "eval_set", "split"]).sort_values(["rung", "eval_set", "split"])
    return tuple(
        (count(row["rung"]), str(row["eval_set"]), str(row["split"]), percent(row["accuracy"]))
        for row in _as_rows(rungs)
    )


def _scores(rows: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    final = rows[rows["rung"].isna() & rows["accuracy"].notna()].drop_duplicates(["eval_set", "split"])
    return tuple(
        (
            str(row["eval_set"]),
            str(row["split"]),
            percent(row["accuracy"]),
            interval(row["ci_low"], row["ci_high"], signed=False),
            count(row["n"]),
            points(row["gain"]),
            points(row["cg_gain"]),
            str(row["exposure"] or "").replace("_", " "),
        )
        for row in _as_rows(final)
    )


def _class_rows(records: RunRecords, wanted: set[str]) -> Mapping[Any, tuple[tuple[str, ...], ...]]:
    found: dict[Any, list[tuple[str, ...]]] = defaultdict(list)
    frame = records.trial_classes
    for row in _as_rows(frame[frame["train_id"].isin(wanted)]):
        # Together the rare answers may still be few; then only how many they are is told.
        right = NOT_KNOWN if row["label"] == RARE and not is_told(row) else count(row["correct"])
        found[row["train_id"]].append(
            (str(row["eval_set"]), str(row["split"]), str(row["label"]), right, count(row["n"]))
        )
    return defaultdict(tuple, {train_id: tuple(rows) for train_id, rows in found.items()})


def _as_rows(frame: pd.DataFrame) -> Sequence[Mapping[Any, Any]]:
    rows: list[dict[Any, Any]] = frame.to_dict("records")
    return rows
