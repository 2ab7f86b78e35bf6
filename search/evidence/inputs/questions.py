"""The questions behind the answers, as far as figures need them: which belong together, what could be answered.

No question, patient or file is named. Patients are numbers, and an option is spelt out only where it is the label of
a class of enough questions and patients for the report to show; others are numbered within their evaluation set, which
says which are equal and no more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_spec.atomic import replace_file
from datasets_spec.sample import OPEN_ANSWER, option_text_key
from datasets_spec.store.store import Store
from search.evidence.groups.class_results import ClosedQuestion, rare_classes
from search.evidence.groups.strata import with_small_merged
from search.study.spec import StudySpec

Place = tuple[str, str]  # evaluation set and split
Strata = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """What is kept of a study's questions.

    Attributes:
        groups: number of the patient (or of the image, where patients are unknown) by sample id, where known.
        closed: closed questions by evaluation set and split, then sample id. Studies of a version before have those of
            the split whose strata are shown.
        strata: column -> sample id -> stratum, of the split that strata are shown of.
    """

    groups: Mapping[str, str]
    closed: Mapping[Place, Mapping[str, ClosedQuestion]]
    strata: Strata


def gather_questions(
    store: Store, spec: StudySpec, groups: Mapping[str, str], splits: Sequence[str], shown: str, strata: Strata
) -> list[dict[str, Any]]:
    """The rows of the file, one for each question of these splits.

    Args:
        store: the data.
        spec: the study.
        groups: patient or image by sample id, where known.
        splits: which questions.
        shown: the split whose strata are reported.
        strata: column -> sample id -> stratum.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups.values()))}
    rows: list[dict[str, Any]] = []
    for split in splits:
        for name in spec.sets_on(split):
            asked = store.read(name, split, columns=["sample_id", "options", "answer_index"]).to_pylist()
            shown_as = _shown_options(asked, groups)
            merged = with_small_merged(strata, [row["sample_id"] for row in asked]) if split == shown else {}
            for row in asked:
                sample = row["sample_id"]
                rows.append(
                    {
                        "eval_set": name,
                        "split": split,
                        "sample_id": sample,
                        "group": numbers[groups[sample]] if sample in groups else None,
                        "options": [shown_as[text] for text in row["options"]],
                        "answer_index": row["answer_index"],
                        "strata": json.dumps({c: v[sample] for c, v in merged.items() if sample in v}, sort_keys=True),
                    }
                )
    return rows


def _told_labels(rows: Sequence[Mapping[str, Any]], groups: Mapping[str, str]) -> set[str]:
    closed = [row for row in rows if row["answer_index"] != OPEN_ANSWER]
    answers = {row["sample_id"]: option_text_key(row["options"][row["answer_index"]]) for row in closed}
    return set(answers.values()) - rare_classes(answers, groups)


def _shown_options(rows: Sequence[Mapping[str, Any]], groups: Mapping[str, str]) -> dict[str, str]:
    """What stands for each option's text: a hash of a short text could be looked up, a number of its place cannot."""
    told = _told_labels(rows, groups)
    texts = list(dict.fromkeys(text for row in rows for text in row["options"]))
    numbers: dict[str, int] = {}
    for key in map(option_text_key, texts):
        if key not in told:
            numbers.setdefault(key, len(numbers))
    return {text: text if (key := option_text_key(text)) in told else f"#{numbers[key]}" for text in texts}


def write_questions(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write what `gather_questions` returned as Parquet with page checksums, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = pa.string()
    schema = pa.schema(
        [
            ("eval_set", text), ("split", text), ("sample_id", text), ("group", pa.int64()),
            ("options", pa.list_(text)), ("answer_index", pa.int64()), ("strata", text),
        ]
    )  # fmt: skip
    table = pa.Table.from_pylist(list(rows), schema=schema)
    replace_file(path, lambda temporary: pq.write_table(table, temporary, write_page_checksum=True))


def read_questions(path: Path) -> Questions:
    """Read what `write_questions` wrote."""
    import pyarrow.parquet as pq

    groups: dict[str, str] = {}
    closed: dict[Place, dict[str, ClosedQuestion]] = {}
    strata: dict[str, dict[str, str]] = {}
    for row in pq.read_table(path, page_checksum_verification=True).to_pylist():
        if row["group"] is not None:
            groups[row["sample_id"]] = str(row["group"])
        if row["answer_index"] != OPEN_ANSWER:
            question = ClosedQuestion(options=tuple(row["options"]), answer_index=row["answer_index"])
            closed.setdefault((row["eval_set"], row["split"]), {})[row["sample_id"]] = question
        for column, stratum in json.loads(row["strata"]).items():
            strata.setdefault(column, {})[row["sample_id"]] = stratum
    return Questions(groups=groups, closed=closed, strata=strata)
