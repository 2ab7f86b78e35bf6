"""Rows of the corpus made in memory, in the columns that a fine-tune reads from the store.

The evidence trains hundreds of compositions; writing each to disk, reading and splitting it would cost more than the
training. The pictures pass through PNG all the same, so that they are those of the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datasets_spec.boxes import on_grid
from datasets_spec.phantom.flaws import num_rows
from datasets_spec.phantom.free_answers import FREE_TASKS, LOCATING, make_free_sample
from datasets_spec.phantom.questions import SINGLE, PhantomKey, make_sample
from datasets_spec.phantom.render import encode_png
from datasets_spec.phantom.world import IMAGE_SIZE
from datasets_spec.sample import OPEN_ANSWER

if TYPE_CHECKING:
    import pyarrow as pa


def key_of(name: str) -> PhantomKey:
    """The key in a subset's name."""
    modality, area, task, *ability = name.split("-")
    return PhantomKey(modality=modality, area=area, task=task, ability=ability[0] if ability else SINGLE)


def make_rows(name: str, *, seed: int, split: str, num: int) -> pa.Table:
    """Rows of a subset, images as PNG.

    Args:
        name: of the subset.
        seed: of the corpus.
        split: as in ``make_sample``: different names give independent rows.
        num: how many; a small subset has fewer.
    """
    import pyarrow as pa

    key = key_of(name)
    rows = [_row(key, seed, split, index) for index in range(num_rows(name, num))]
    # Said, because a list of nothing has no type to be joined with others by.
    types = {"options": pa.list_(pa.string()), "images": pa.list_(pa.binary()), "answer_index": pa.int64()}
    schema = pa.schema([pa.field(column, types.get(column, pa.string())) for column in rows[0]])
    return pa.Table.from_pylist(rows, schema=schema)


def _row(key: PhantomKey, seed: int, split: str, index: int) -> dict[str, Any]:
    if key.task in FREE_TASKS:
        return _free_row(key, seed, split, index)
    sample = make_sample(key, seed=seed, split=split, index=index)
    return {
        "sample_id": f"{key.name}/{split}#{index}",
        "subset": key.name,
        "question": sample.question,
        "options": list(sample.options),
        "answer_index": sample.answer_index,
        "answer": sample.label,
        "answer_kind": "closed",
        "images": [encode_png(image) for image in sample.images],
    }


def _free_row(key: PhantomKey, seed: int, split: str, index: int) -> dict[str, Any]:
    sample = make_free_sample(key, seed=seed, split=split, index=index)
    box = on_grid(sample.box, "corners_pixels", (IMAGE_SIZE, IMAGE_SIZE))
    return {
        "sample_id": f"{key.name}/{split}#{index}",
        "subset": key.name,
        "question": sample.question,
        "options": [],
        "answer_index": OPEN_ANSWER,
        "answer": box.text if key.task == LOCATING and box else sample.answer,
        "answer_kind": "box" if key.task == LOCATING else "open",
        "images": [encode_png(sample.image)],
    }
