"""Items of the backbone's own training: copying, naming and generic questions, with their images.

Generic questions are asked on the corpus's looks too, not only on plain shapes: in a feasibility study a base that
had met medical looks in naming questions alone answered generic ones on them 20 points worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.phantom.questions import LETTERS, sample_rng
from datasets_spec.phantom.render import render
from datasets_spec.phantom.scenes import Blob, lesions, sample_clutter, sample_pair, sample_scene
from datasets_spec.phantom.world import AREAS, BASE_SHAPES, MODALITIES, ORDINALS, REGIONS, TASKS, Rule
from trainers.phantom_words import (
    COPY,
    GENERIC_OPTIONS,
    GENERIC_TEMPLATES,
    NAME_MODALITY,
    NAME_ORGAN,
    ORDINAL_TEMPLATES,
    POLARITY_WORDS,
    copy_words,
)

# Share of each sort of item. "ordinal" and "change" show two images.
MIX: Final = {
    "copy": 0.06,
    "modality": 0.05,
    "organ": 0.05,
    "presence": 0.18,
    "size": 0.18,
    "kind": 0.18,
    "ordinal": 0.18,
    "change": 0.12,
}
PHOTO_SHARE: Final = 0.25  # of generic items: plain shapes instead of organs
OPEN_SHARE: Final = 0.06  # of generic one-image items: no options, the word itself is the answer
REGION_NAMES: Final = tuple(REGIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One image to render, with everything the dense vision training may ask of it."""

    blobs: tuple[Blob, ...]
    modality: str
    shape: str
    pixels: NDArray[np.uint8]  # [48, 48]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One training question.

    Attributes:
        sort: a key of ``MIX``.
        scenes: its images, none to two.
        question: without options.
        options: in display order; empty when the question is open.
        answer_index: of the right option; -1 when open.
        answer: gold option or word.
        asked_cells: for each image the cells that hold what is asked about; None where no spot is asked about.
    """

    sort: str
    scenes: tuple[Scene, ...]
    question: str
    options: tuple[str, ...]
    answer_index: int
    answer: str
    asked_cells: tuple[frozenset[int], ...] | None = None


def _scene(rng: np.random.Generator, blobs: tuple[Blob, ...], modality: str, shape: str) -> Scene:
    pixels = render(blobs, modality, shape, rng)
    return Scene(blobs=blobs, modality=modality, shape=shape, pixels=pixels)


def _look(rng: np.random.Generator) -> tuple[str, str]:
    if rng.random() < PHOTO_SHARE:
        return "photo", str(rng.choice(BASE_SHAPES))
    return str(rng.choice(MODALITIES)), str(rng.choice(AREAS))


def _choose(
    rng: np.random.Generator,
    sort: str,
    question: str,
    words: tuple[str, ...],
    gold: int,
    scenes: tuple[Scene, ...],
    asked_cells: tuple[frozenset[int], ...] | None = None,
) -> Item:
    order = [int(i) for i in rng.permutation(len(words))]
    return Item(
        sort=sort,
        scenes=scenes,
        question=question,
        options=tuple(words[i] for i in order),
        answer_index=order.index(gold),
        answer=words[gold],
        asked_cells=asked_cells,
    )


def _cells(scene: Scene, rule: Rule) -> frozenset[int]:
    return frozenset(blob.cell for blob in lesions(scene.blobs, rule))


def _draw_words(rng: np.random.Generator, words: tuple[str, ...], most: int) -> tuple[str, ...]:
    num = int(rng.integers(2, most + 1))
    return tuple(str(w) for w in rng.choice(np.array(words), num, replace=False))


def copy_item(rng: np.random.Generator) -> Item:
    """Draw a text-only item: which option says a word. It teaches letters and gives new words an embedding."""
    words = _draw_words(rng, copy_words(), 5)
    return _choose(rng, "copy", COPY.format(word=words[0]), words, 0, ())


def _naming_item(rng: np.random.Generator, sort: str) -> Item:
    modality, area = str(rng.choice(MODALITIES)), str(rng.choice(AREAS))
    scene = _scene(rng, sample_clutter(rng), modality, area)
    gold, names = (modality, MODALITIES) if sort == "modality" else (area, AREAS)
    others = tuple(n for n in names if n != gold)
    words = (gold, *_draw_words(rng, others, 4)[: int(rng.integers(1, 4))])
    return _choose(rng, sort, NAME_MODALITY if sort == "modality" else NAME_ORGAN, words, 0, (scene,))


def _rule(rng: np.random.Generator) -> tuple[Rule, dict[str, str]]:
    """A polarity and a region drawn apart from the look, with the words that spell them out."""
    region, bright = str(rng.choice(REGION_NAMES)), bool(rng.integers(2))
    rule = Rule(bright=bright, cells=REGIONS[region])
    return rule, {"region": region, "polarity": POLARITY_WORDS[int(bright)]}


def _generic_item(rng: np.random.Generator, task: str) -> Item:
    rule, slots = _rule(rng)
    words = GENERIC_OPTIONS[task]
    gold = int(rng.integers(len(words)))
    scene = _scene(rng, sample_scene(rng, rule, task, gold), *_look(rng))
    question = GENERIC_TEMPLATES[task].format(**slots)
    if rng.random() < OPEN_SHARE:
        return Item(
            sort=task,
            scenes=(scene,),
            question=question,
            options=(),
            answer_index=-1,
            answer=words[gold],
            asked_cells=(_cells(scene, rule),),
        )
    return _choose(rng, task, question, words, gold, (scene,), (_cells(scene, rule),))


def _ordinal_item(rng: np.random.Generator) -> Item:
    """Ask one of two images; the other was drawn for an independent answer to the same question."""
    task = str(rng.choice(TASKS))
    rule, slots = _rule(rng)
    words, look = GENERIC_OPTIONS[task], _look(rng)
    golds = [int(rng.integers(len(words))) for _ in ORDINALS]
    scenes = tuple(_scene(rng, sample_scene(rng, rule, task, gold), *look) for gold in golds)
    asked = int(rng.integers(2))
    question = ORDINAL_TEMPLATES[task].format(ordinal=ORDINALS[asked], **slots)
    cells = tuple(_cells(s, rule) if i == asked else frozenset() for i, s in enumerate(scenes))
    return _choose(rng, "ordinal", question, words, golds[asked], scenes, cells)


def _change_item(rng: np.random.Generator) -> Item:
    rule, slots = _rule(rng)
    words, look = GENERIC_OPTIONS["change"], _look(rng)
    gold = int(rng.integers(len(words)))
    scenes = tuple(_scene(rng, blobs, *look) for blobs in sample_pair(rng, rule, words[gold]))
    cells = tuple(_cells(scene, rule) for scene in scenes)
    return _choose(rng, "change", GENERIC_TEMPLATES["change"].format(**slots), words, gold, scenes, cells)


def make_item(rng: np.random.Generator, sort: str) -> Item:
    """Draw one item of a sort, a key of ``MIX``."""
    if sort == "copy":
        return copy_item(rng)
    if sort in ("modality", "organ"):
        return _naming_item(rng, sort)
    if sort == "ordinal":
        return _ordinal_item(rng)
    return _change_item(rng) if sort == "change" else _generic_item(rng, sort)


def make_items(seed: int, split: str, num: int, *, sorts: tuple[str, ...] | None = None) -> list[Item]:
    """Draw ``num`` items.

    Args:
        seed: of the base.
        split: name of the draw; different names are independent.
        num: how many.
        sorts: cycle through these; by the shares of ``MIX`` when None.
    """
    items = []
    names, shares = tuple(MIX), list(MIX.values())
    for index in range(num):
        rng = sample_rng(seed, "base", split, index)
        sort = sorts[index % len(sorts)] if sorts else str(rng.choice(names, p=shares))
        items.append(make_item(rng, sort))
    return items


def letter_of(item: Item) -> str:
    """What the model should write: a letter, or the word itself for an open item."""
    return LETTERS[item.answer_index] if item.options else item.answer
