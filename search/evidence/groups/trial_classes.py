"""How often each trial answered each class rightly: what a trial's row on the page opens to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_spec.atomic import replace_file
from datasets_spec.sample import option_text_key
from search.evidence.groups.class_results import ClosedQuestion, rare_classes
from search.evidence.inputs.questions import Questions
from search.evidence.outcomes import Outcomes
from search.ledger.records import Record, finished_of

if TYPE_CHECKING:
    import pandas as pd

# Column and kind.
TRIAL_CLASS_COLUMNS: dict[str, str] = {
    "train_id": "str", "eval_set": "str", "split": "str", "label": "str", "correct": "int", "n": "int",
}  # fmt: skip
# Answers of too few questions or patients are not spelt out in a study directory (`Questions`), and say nothing alone.
RARE = "(rare answers)"


def compute_trial_classes(trials: Iterable[Record], outcomes: Outcomes, asked: Questions) -> pd.DataFrame:
    """Right answers of every finished trial by class, that is by the option that is the answer.

    Args:
        trials: the ledger's trial records.
        outcomes: of their questions.
        asked: which option is the answer, and which questions are about one patient.

    Returns:
        Columns `TRIAL_CLASS_COLUMNS`, sorted; closed questions only.
    """
    import pandas as pd

    labels = {place: _labels(questions, asked.groups) for place, questions in asked.closed.items()}
    folders = {str(record["train_id"]): str(record["trial_dir"]) for record in finished_of(trials)}
    tables = []
    for train_id, folder in sorted(folders.items()):
        for place, frame in outcomes.by_place(folder):
            named = frame.assign(label=frame["sample_id"].map(labels.get(place, {})))
            by_class = named[named["label"].notna()].groupby("label", sort=True)["correct"]
            counted = by_class.agg(correct="sum", n="size").reset_index()
            tables.append(counted.assign(train_id=train_id, eval_set=place[0], split=place[1]))
    columns = list(TRIAL_CLASS_COLUMNS)
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _labels(questions: Mapping[str, ClosedQuestion], groups: Mapping[str, str]) -> dict[str, str]:
    """The class of each question, spelt as it came first."""
    golds = {sample: question.options[question.answer_index] for sample, question in questions.items()}
    keys = {sample: option_text_key(gold) for sample, gold in golds.items()}
    rare = rare_classes(keys, groups)
    spelt: dict[str, str] = {}
    return {s: RARE if keys[s] in rare else spelt.setdefault(keys[s], gold) for s, gold in golds.items()}


def write_trial_classes(frame: pd.DataFrame, path: Path) -> None:
    """Write `compute_trial_classes`' result as Parquet with page checksums, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"str": pa.string(), "int": pa.int64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in TRIAL_CLASS_COLUMNS.items()])
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)
    replace_file(path, lambda temporary: pq.write_table(table, temporary, write_page_checksum=True))
