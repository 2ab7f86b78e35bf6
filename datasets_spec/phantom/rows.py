"""Rows of the corpus made in memory, in the columns that a fine-tune reads from the store.

The evidence trains hundreds of compositions; writing each to disk, reading and splitting it would cost more than the
training. The pictures pass through PNG all the same, so that they are those of the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datasets_spec.phantom.flaws import num_rows
from datasets_spec.phantom.questions import SINGLE, PhantomKey, make_sample
from datasets_spec.phantom.render import encode_png

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
    return pa.Table.from_pylist([_row(key, seed, split, index) for index in range(num_rows(name, num))])


def _row(key: PhantomKey, seed: int, split: str, index: int) -> dict[str, Any]:
    sample = make_sample(key, seed=seed, split=split, index=index)
    return {
        "sample_id": f"{key.name}/{split}#{index}",
        "subset": key.name,
        "question": sample.question,
        "options": list(sample.options),
        "answer_index": sample.answer_index,
        "answer": sample.label,
        "images": [encode_png(image) for image in sample.images],
    }
