"""The table of all trials: one row for each score of each trial, equal content giving equal bytes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from datasets_spec.atomic import replace_file
from datasets_spec.canonical import canonical_json
from datasets_spec.catalog.keys import Key
from search.ledger.records import Record, control_arm, is_control, training_size, trials_of
from search.statistics.intervals import wilson_interval
from search.study.score import ScoreSection, score_of
from search.vocabulary import Stage, Status

if TYPE_CHECKING:
    import pandas as pd

# Column and kind, in the order of the file. `float` holds NaN where there is nothing, `int` is nullable.
TRIAL_COLUMNS: dict[str, str] = {
    "train_id": "str", "score_id": "str", "rung": "int", "stage": "str", "arm": "str", "strategy": "str",
    "composition": "str", "recipe": "str", "seed": "int", "eval_set": "str", "modality": "str", "area": "str",
    "task": "str", "ability": "str", "exposure": "str", "split": "str", "n": "int", "correct": "int",
    "accuracy": "float", "generation_accuracy": "float", "invalid": "int", "ci_low": "float", "ci_high": "float",
    "gain": "float", "cg_gain": "float", "num_train_samples": "int", "num_steps": "int", "train_s": "float",
    "eval_s": "float", "startup_s": "float", "status": "str", "proposal_index": "int",
    "slot": "str", "pack_size": "int", "queue_s": "float", "data_s": "float", "score_s": "float",
    "checkpoint_s": "float", "score": "float", "free_answers": "str",
}  # fmt: skip

# Seconds of a phase that the ledger keeps under `seconds`; training and start-up have had columns of their own before.
CHARGED_COLUMNS = ("queue_s", "data_s", "score_s", "checkpoint_s")
_SORTED_BY = ("stage", "arm", "proposal_index", "train_id", "rung", "eval_set", "split", "score_id", "status")
_STAGES = {stage.value: number for number, stage in enumerate(Stage)}


def trials_frame(
    records: Iterable[Record], subset_keys: Mapping[str, Key], score: ScoreSection | None = None
) -> pd.DataFrame:
    """One row for each (trial, evaluation set, split, rung); a trial without scores has one row without them.

    `score` is what the study goes by: the accuracy of closed questions, the mean mark of words and boxes. `gain` is the
    score minus the baseline's on the same evaluation set and split. `cg_gain` is the score minus that of the matched
    control (arm `control:<eval_set>`, same number of samples and steps, same recipe):
    with the same seed if there is one, else the mean over its seeds. Both are missing when there is nothing to
    compare with. A failed attempt at a trial that finished later is left out.

    Args:
        records: the ledger's records; other kinds than trials are ignored.
        subset_keys: the key of each evaluation set; those of unknown sets stay empty.
        score: what words and boxes count for; the defaults when None.

    Returns:
        A frame with `TRIAL_COLUMNS` in a canonical order of rows: the order of `records` does not matter.
    """
    trials = trials_of(records)
    references = _References(trials, score)
    finished = {_role(record) for record in trials if record.get("status") == Status.finished}
    rows: dict[str, dict[str, Any]] = {}
    for record in trials:
        if record.get("status") != Status.finished and _role(record) in finished:
            continue
        for row in _rows_of(record, subset_keys, references):
            # A trial that is scored anew on more sets repeats its earlier scores: one row each.
            rows[canonical_json([row[c] for c in ("train_id", "score_id", "stage", "arm", "rung", "status")])] = row
    return _typed(sorted(rows.values(), key=_sort_key))


def numeric(columns: Mapping[str, str]) -> set[str]:
    """The columns that hold numbers, of a table's columns and their kinds."""
    return {name for name, kind in columns.items() if kind != "str"}


def write_trials_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write `trials_frame`'s result atomically, with page checksums, without anything that varies between runs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in TRIAL_COLUMNS.items()])
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)
    replace_file(path, lambda temporary: pq.write_table(table, temporary, write_page_checksum=True))


class _References:
    """The scores that gains are measured from."""

    def __init__(self, trials: Iterable[Record], score: ScoreSection | None = None) -> None:
        self.score = score
        self._baselines: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._controls: dict[tuple[Any, ...], dict[int, float]] = defaultdict(dict)
        for record in trials:
            if record.get("status") != Status.finished:
                continue
            for evaluation in record.get("evaluations", ()):
                place = (evaluation["eval_set"], evaluation["split"])
                if record["stage"] == Stage.baseline:
                    self._baselines[place].append(score_of(evaluation, score))
                if record.get("arm") == control_arm(evaluation["eval_set"]):
                    self._controls[(*place, *training_size(record))][record["seed"]] = score_of(evaluation, score)

    def baseline(self, evaluation: Record) -> float | None:
        found = self._baselines.get((evaluation["eval_set"], evaluation["split"]))
        return fmean(found) if found else None

    def control(self, record: Record, evaluation: Record) -> float | None:
        if record["stage"] == Stage.baseline or is_control(str(record.get("arm"))):
            return None
        key = (evaluation["eval_set"], evaluation["split"], *training_size(record))
        by_seed = self._controls.get(key)
        if not by_seed:
            return None
        return by_seed.get(record["seed"], fmean(by_seed[seed] for seed in sorted(by_seed)))


def _role(record: Record) -> tuple[Any, ...]:
    return record["train_id"], record.get("stage"), record.get("arm")


def _rows_of(record: Record, keys: Mapping[str, Key], references: _References) -> list[dict[str, Any]]:
    trial = {column: record.get(column) for column in TRIAL_COLUMNS}
    trial["composition"] = canonical_json(record.get("composition") or {})
    trial["recipe"] = canonical_json(record.get("recipe") or {})
    trial |= {f"{phase}_s": s for phase, s in record.get("seconds", {}).items() if f"{phase}_s" in CHARGED_COLUMNS}
    evaluations = record.get("evaluations") or ()
    rows = []
    for evaluation in evaluations:
        row = trial | {column: evaluation[column] for column in TRIAL_COLUMNS if column in evaluation}
        key = keys.get(evaluation["eval_set"])
        if key is not None:
            row |= {"modality": key.modality, "area": key.area, "task": key.task, "ability": key.ability}
        score = score_of(evaluation, references.score)
        row["score"] = score
        row["free_answers"] = canonical_json(evaluation.get("free_answers") or {})
        # Marks between 0 and 1 spread less than right and wrong do: of words and boxes the interval is rather too wide.
        right = evaluation["correct"] if not evaluation.get("free_answers") else score * evaluation["n"]
        row["ci_low"], row["ci_high"] = wilson_interval(right, evaluation["n"])
        for column, reference in (
            ("gain", references.baseline(evaluation)),
            ("cg_gain", references.control(record, evaluation)),
        ):
            row[column] = None if reference is None else score - reference
        rows.append(row)
    return rows or [trial]


def _sort_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Stages in the order of a study, then the sorting columns with missing values first, then the whole row."""
    ordered: list[Any] = [_STAGES.get(str(row["stage"]), len(_STAGES))]
    for column in _SORTED_BY:
        missing = "" if TRIAL_COLUMNS[column] == "str" else -1
        value = missing if row[column] is None else row[column]
        ordered.append(_in_number_order(str(value)) if column == "arm" else value)
    return *ordered, canonical_json(dict(row))


def _in_number_order(arm: str) -> str:
    """Proposal 2 comes before proposal 10."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(9), arm)


def _typed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    dtypes = {"str": "str", "int": "Int64", "float": "float64"}
    columns = {name: pd.Series([row[name] for row in rows], dtype=dtypes[kind]) for name, kind in TRIAL_COLUMNS.items()}
    return pd.DataFrame(columns)
