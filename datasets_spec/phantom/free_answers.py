"""Questions of the corpus that are not answered by a letter: what the lesion looks like, and where it lies.

``naming`` asks for the lesion's properties in words, ``locating`` for the box of the cell it lies in. Both need the
modality's pattern and the area's region to find the lesion among its mirrors, as every other question does, and no
criterion; so what they teach helps classification, and the reverse, as far as the two rules are shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.phantom.questions import PhantomKey, sample_rng
from datasets_spec.phantom.render import render
from datasets_spec.phantom.scenes import Blob, sample_scene
from datasets_spec.phantom.world import (
    AREAS,
    CRITERIA,
    IMAGE_SIZE,
    MODALITIES,
    NUM_ROWS,
    PATTERN_OF_MODALITY,
    REGION_OF_AREA,
    REGIONS,
    Rule,
)

NAMING: Final = "naming"
LOCATING: Final = "locating"
FREE_TASKS: Final = (NAMING, LOCATING)
FREE_TEMPLATES: Final = {
    NAMING: "What is the {area} {modality} image?",
    LOCATING: "Which is the {area} {modality} image?",
}
# Said of a lesion that is neither large nor upright, left or strong.
NOTHING_TO_NAME: Final = "no"
CELL_PIXELS: Final = IMAGE_SIZE // NUM_ROWS


@dataclass(frozen=True, kw_only=True, slots=True)
class FreeSample:
    """One question with its 8-bit image (48, 48).

    Attributes:
        image: the picture.
        question: what is asked.
        answer: words of a naming question; empty for a locating one.
        box: left, top, right and bottom pixel of the lesion's cell.
    """

    image: NDArray[np.uint8]
    question: str
    answer: str
    box: tuple[int, int, int, int]


def free_keys() -> tuple[PhantomKey, ...]:
    """The keys of all naming questions, then of all locating ones."""
    return tuple(PhantomKey(modality=m, area=a, task=t) for t in FREE_TASKS for m in MODALITIES for a in AREAS)


def make_free_sample(key: PhantomKey, *, seed: int, split: str, index: int) -> FreeSample:
    """Make one sample of a naming or locating subset; the same arguments always give the same sample.

    Args:
        key: one of ``free_keys()``.
        seed: of the whole corpus.
        split: any name; different names give independent samples.
        index: position in the subset's file, from 0.
    """
    rng = sample_rng(seed, key.name, split, index)
    criterion = CRITERIA[int(rng.integers(len(CRITERIA)))]
    rule = Rule(pattern=PATTERN_OF_MODALITY[key.modality], cells=REGIONS[REGION_OF_AREA[key.area]], criterion=criterion)
    blobs = sample_scene(rng, rule, bool(rng.integers(2)))
    return FreeSample(
        image=render(blobs, key.modality, key.area, rng),
        question=FREE_TEMPLATES[key.task].format(area=key.area, modality=key.modality),
        answer=named(blobs[0]) if key.task == NAMING else "",
        box=cell_box(blobs[0].cell),
    )


def named(blob: Blob) -> str:
    """A blob's properties in words, in one order."""
    return " ".join(criterion for criterion in CRITERIA if blob.meets(criterion)) or NOTHING_TO_NAME


def cell_box(cell: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom pixel of a cell."""
    row, column = divmod(cell, NUM_ROWS)
    left, top = column * CELL_PIXELS, row * CELL_PIXELS
    return left, top, left + CELL_PIXELS, top + CELL_PIXELS
