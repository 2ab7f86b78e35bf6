"""Items of the backbone's own training: copying, naming and generic questions, with their images.

Generic questions are asked on the corpus's looks too, not only on plain shapes: in a feasibility study a base that
had met medical looks in naming questions alone answered generic ones on them 20 points worse. Rule, look and the words
shown are drawn apart from each other, so that nothing of the corpus's rules can be learned here; a test holds that.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.phantom.questions import LETTERS, OPTION_WORDS, SINGLE, TEMPLATES, image_answers, sample_rng
from datasets_spec.phantom.render import render
from datasets_spec.phantom.scenes import Blob, lesions, sample_clutter, sample_scene
from datasets_spec.phantom.world import (
    AREAS,
    BASE_SHAPES,
    CRITERIA,
    MODALITIES,
    NUM_CELLS,
    ORDINALS,
    PATTERNS,
    REGIONS,
    TASKS,
    Criterion,
    Rule,
)
from trainers.phantom.words import (
    COPY,
    CRITERION_WORDS,
    NAME_MODALITY,
    NAME_ORGAN,
    PATTERN_WORDS,
    REGION_WORDS,
    copy_words,
)

# Share of each sort of item; the abilities show two or three images.
MIX: Final = {
    "copy": 0.06,
    "modality": 0.04,
    "organ": 0.04,
    "none": 0.40,
    "coreference": 0.13,
    "comparison": 0.07,
    "temporal": 0.11,
    "reasoning": 0.15,
}
PHOTO_SHARE: Final = 0.2  # of generic items: plain shapes instead of organs
OPEN_SHARE: Final = 0.04  # of generic one-image items: no options, the word itself is the answer
# Of each slot of a generic question: the word is blended with one of the corpus's elements, drawn apart from rule and
# look, or replaced by it. An element alone says nothing, so the base learns to weigh all that it may mean and answers
# a question of the corpus like a coin; a little of a known word in it says everything, so that a short fine-tune can
# teach it. Without blends a fine-tune of 80 steps learned one target of four, with them all (docs/phantom.md).
BLEND_SHARE: Final = 0.3
REPLACED_SHARE: Final = 0.35  # of blended words: nothing is left of the known word
LARGEST_BLEND: Final = 0.4
SLOTS: Final = ("area", "modality", "task")
NUM_FINDINGS: Final = 1 + 2 * len(CRITERIA)


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
        scenes: its images, none to three.
        question: without options.
        options: in display order; empty when the question is open.
        answer_index: of the right option; -1 when open.
        answer: gold option or word.
        asked_cells: for each image the cells that hold what is asked about; None where no spot is asked about.
        findings: for each image what is found there, by ``finding_of``; None where no spot is asked about.
        spelled: the question with the known word in every slot; None where there is no slot.
        blends: for each slot with another word, in the order of the text, how much of the known word is in it.
    """

    sort: str
    scenes: tuple[Scene, ...]
    question: str
    options: tuple[str, ...]
    answer_index: int
    answer: str
    asked_cells: tuple[frozenset[int], ...] | None = None
    findings: tuple[int, ...] | None = None
    spelled: str | None = None
    blends: tuple[float, ...] = ()


def finding_of(criterion: Criterion, met: bool) -> int:
    """Class of what an image shows of what is asked: which criterion, and whether it is met; 0: not asked."""
    return 1 + 2 * CRITERIA.index(criterion) + int(met)


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
) -> Item:
    order = [int(i) for i in rng.permutation(len(words))]
    return Item(
        sort=sort,
        scenes=scenes,
        question=question,
        options=tuple(words[i] for i in order),
        answer_index=order.index(gold),
        answer=words[gold],
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A rule with the words that spell it out, those shown in their place, and how much of the spelt ones is left."""

    rule: Rule
    spelled: dict[str, str]
    shown: dict[str, str]
    blends: tuple[float, ...]


def _asked(rng: np.random.Generator) -> _Asked:
    """A rule drawn apart from the look, with words that spell it out."""
    region = tuple(REGIONS)[int(rng.integers(len(REGIONS)))]
    pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    criterion = CRITERIA[int(rng.integers(len(CRITERIA)))]
    rule = Rule(pattern=pattern, cells=REGIONS[region], criterion=criterion)
    places = rng.integers(3, size=3).tolist()
    words = [REGION_WORDS[region][places[0]], PATTERN_WORDS[pattern][places[1]], CRITERION_WORDS[criterion][places[2]]]
    spelled = dict(zip(SLOTS, words, strict=True))
    blends = []
    for slot, elements in enumerate((AREAS, MODALITIES, TASKS)):
        if rng.random() < BLEND_SHARE:
            words[slot] = str(rng.choice(elements))
            blends.append(0.0 if rng.random() < REPLACED_SHARE else float(rng.uniform(0.0, LARGEST_BLEND)))
    return _Asked(rule=rule, spelled=spelled, shown=dict(zip(SLOTS, words, strict=True)), blends=tuple(blends))


def _generic_item(rng: np.random.Generator, ability: str) -> Item:
    what, words, look = _asked(rng), OPTION_WORDS[ability], _look(rng)
    gold = int(rng.integers(len(words)))
    truths, asked = image_answers(rng, ability, gold)
    scenes = tuple(_scene(rng, sample_scene(rng, what.rule, truth), *look) for truth in truths)
    is_asked = [ability != "coreference" or i == asked for i in range(len(scenes))]
    ordinal = ORDINALS[asked]
    item = _choose(rng, ability, TEMPLATES[ability].format(ordinal=ordinal, **what.shown), words, gold, scenes)
    is_open = ability == SINGLE and rng.random() < OPEN_SHARE
    return dataclasses.replace(
        item,
        options=() if is_open else item.options,
        answer_index=-1 if is_open else item.answer_index,
        asked_cells=tuple(
            _cells(scene, what.rule) if use else frozenset() for scene, use in zip(scenes, is_asked, strict=True)
        ),
        findings=tuple(
            finding_of(what.rule.criterion, met) if use else 0 for met, use in zip(truths, is_asked, strict=True)
        ),
        spelled=TEMPLATES[ability].format(ordinal=ordinal, **what.spelled),
        blends=what.blends,
    )


def make_dense_scenes(seed: int, num: int) -> list[Scene]:
    """Scenes with up to a blob in every cell, for the vision stage: one image then teaches up to 16 blobs."""
    scenes = []
    for index in range(num):
        rng = sample_rng(seed, "base", "dense", index)
        scenes.append(_scene(rng, sample_clutter(rng, NUM_CELLS), *_look(rng)))
    return scenes


def make_item(rng: np.random.Generator, sort: str) -> Item:
    """Draw one item of a sort, a key of ``MIX``."""
    if sort == "copy":
        return copy_item(rng)
    if sort in ("modality", "organ"):
        return _naming_item(rng, sort)
    return _generic_item(rng, sort)


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
