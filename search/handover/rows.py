"""The rows of a selection in the order in which the study's trainer first saw them, with their images in files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_spec.boxes import parse_box
from datasets_spec.errors import RecombineError
from datasets_spec.store.store import Store
from search.handover.selection import Selection

if TYPE_CHECKING:
    from trainers.prompts.box_language import BoxLanguage

IMAGES_DIR = "images"
_COLUMNS = ["sample_id", "question", "options", "answer", "answer_index", "answer_kind", "images"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRow:
    """A row as the study's trainer asked it.

    Attributes:
        sample_id: in the store.
        subset: it is of.
        prompt: what is asked, without marks for images; they come first, in their order.
        answer: what is to be answered.
        images: paths relative to the folder that is handed over.
    """

    sample_id: str
    subset: str
    prompt: str
    answer: str
    images: tuple[str, ...]


def collect_rows(selection: Selection, store: Store, folder: Path, boxes: BoxLanguage) -> list[TrainingRow]:
    """Write the images of a selection's rows into a folder, and return the rows in their order.

    The order is that of the first pass of the fine-tune whose adapter is handed over; a row stands in it once. Images
    are written as they are read, so that they need not fit into memory.

    Args:
        selection: the selection.
        store: its data.
        folder: a new folder; equal images are written once.
        boxes: how the backbone writes them.
    """
    (folder / IMAGES_DIR).mkdir(parents=True, exist_ok=True)
    rows = list(_in_store_order(selection, store, folder, boxes))
    return [rows[place] for place in first_epoch(len(rows), selection.seed)]


def first_epoch(num_rows: int, seed: int) -> list[int]:
    """The order of a fine-tune's first pass over its rows, as `trainers.training.loop.batch_indices` draws it."""
    from trainers.training.loop import batch_indices

    return [
        int(place) for batch in batch_indices(num_rows, batch_size=num_rows, num_steps=1, seed=seed) for place in batch
    ]


def _in_store_order(selection: Selection, store: Store, folder: Path, boxes: BoxLanguage) -> Iterator[TrainingRow]:
    for entry in selection.mix.subsets:
        for table in store.read_groups(entry.subset, "train", num_rows=entry.rows, columns=_COLUMNS):
            for row in table.to_pylist():
                yield _row(entry.subset, row, folder, boxes)


def _row(subset: str, row: Mapping[str, Any], folder: Path, boxes: BoxLanguage) -> TrainingRow:
    """A row as `trainers.prompts.encoder` asks and answers it."""
    from trainers.prompts.text import LETTERS, render_prompt

    prompt, index = render_prompt(row["question"], row["options"]), int(row["answer_index"])
    answer = LETTERS[index] if index >= 0 else str(row["answer"])
    if row["answer_kind"] == "box":
        box = parse_box(answer)
        if box is None:
            raise RecombineError(f"subset {subset}: a stored answer is no box")
        prompt, answer = "\n".join(filter(None, (prompt, boxes.instruction))), boxes.write(box)
    return TrainingRow(
        sample_id=row["sample_id"],
        subset=subset,
        prompt=prompt,
        answer=answer,
        images=tuple(_saved(data, folder) for data in row["images"]),
    )


def _saved(data: bytes, folder: Path) -> str:
    """Write an image unless an equal one is there; return its path in the folder. Names say nothing of a patient."""
    suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg"
    name = f"{IMAGES_DIR}/{hashlib.sha256(data).hexdigest()[:24]}{suffix}"
    if not (folder / name).exists():
        (folder / name).write_bytes(data)
    return name
