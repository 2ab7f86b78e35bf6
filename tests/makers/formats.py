"""A record of every format, and every file that can hold records."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets_spec.readers import Reader, get_reader
from datasets_spec.readers.class_questions import LabelledSubset
from tests.makers.corpus import LABELS, mat_record, mim_record

Record = dict[str, Any]
LINES = "\n".join(f"{chr(65 + index)}: {label}" for index, label in enumerate(LABELS))
QUESTION = "Which shape is drawn here?"


def llava_record(index: int, image: str, gold: int) -> Record:
    turns = [
        {"from": "human", "value": f"<image>\n{QUESTION}\n{LINES}"},
        {"from": "gpt", "value": chr(65 + gold)},
    ]
    return {"id": str(index), "image": image, "conversations": turns}


def sharegpt_record(index: int, image: str, gold: int) -> Record:
    return {"conversations": llava_record(index, image, gold)["conversations"], "images": [image]}


def messages_record(index: int, image: str, gold: int) -> Record:
    parts = [{"type": "image", "text": None}, {"type": "text", "text": f"{QUESTION}\n{LINES}"}]
    answer = [{"type": "text", "text": chr(65 + gold)}]
    return {
        "messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": answer}],
        "images": [image],
    }


def table_record(index: int, image: str, gold: int) -> Record:
    options = {chr(65 + number): label for number, label in enumerate(LABELS)}
    return {"image": image, "question": QUESTION, **options, "answer": chr(65 + gold)}


def labelled_record(index: int, image: str, gold: int) -> Record:
    return {"file": image, "label": LABELS[gold]}


def mim_like(index: int, image: str, gold: int) -> Record:
    options = {chr(65 + number): label for number, label in enumerate(LABELS)}
    return mim_record([image], QUESTION, options, f"{chr(65 + gold)}: {LABELS[gold]}")


@dataclass(frozen=True, kw_only=True)
class FormatCase:
    """A format: a good record, the fields it cannot go without, the files that can hold it, how it makes questions."""

    record: Callable[[int, str, int], Record]
    needed: tuple[str, ...]
    suffixes: tuple[str, ...]
    about: LabelledSubset | None = None

    def reader(self, name: str) -> Reader:
        return get_reader(name, self.about)


FORMAT_CASES = {
    "med_mat": FormatCase(
        record=mat_record, needed=("image", "Answer-choice"), suffixes=(".json", ".jsonl", ".csv", ".parquet")
    ),
    "med_mim": FormatCase(record=mim_like, needed=("images", "conversation"), suffixes=(".json", ".jsonl", ".parquet")),
    "llava": FormatCase(
        record=llava_record, needed=("image", "conversations"), suffixes=(".json", ".jsonl", ".parquet")
    ),
    "sharegpt": FormatCase(
        record=sharegpt_record, needed=("images", "conversations"), suffixes=(".json", ".jsonl", ".parquet")
    ),
    "hf_messages": FormatCase(
        record=messages_record, needed=("images", "messages"), suffixes=(".json", ".jsonl", ".parquet")
    ),
    "table": FormatCase(
        record=table_record,
        needed=("image", "question", "answer"),
        suffixes=(".json", ".jsonl", ".csv", ".tsv", ".parquet"),
    ),
    "image_folder": FormatCase(
        record=labelled_record,
        needed=("file", "label"),
        suffixes=(".json", ".jsonl", ".csv", ".tsv", ".parquet"),
        # Named, so that a table with rows of one class only is a good one.
        about=LabelledSubset(class_names={label: label for label in LABELS}),
    ),
}


def write_records(path: Path, records: list[Record]) -> None:
    """Writes records in the kind of file that the suffix names; what is None is an empty cell in a table."""
    if path.suffix == ".json":
        path.write_text(json.dumps(records), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        names = list(dict.fromkeys(name for record in records for name in record))
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, names, delimiter="," if path.suffix == ".csv" else "\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        path.write_text(buffer.getvalue(), encoding="utf-8")
