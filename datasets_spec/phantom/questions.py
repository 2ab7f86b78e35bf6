"""The corpus's questions: every subset's key, words and samples.

A question names modality, area and task and none of their rules. All single-image questions have the same options, so
that the task is told by its word alone; abilities ask the same core about one, both or most of several images.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.phantom.flaws import scene_index, written_label
from datasets_spec.phantom.render import render
from datasets_spec.phantom.scenes import sample_scene
from datasets_spec.phantom.world import ANSWERS, AREAS, MODALITIES, ORDINALS, TASKS, rule_of

LETTERS: Final = "ABCDEFG"
INSTRUCTION: Final = "Answer with the option's letter from the given choices directly."

SINGLE: Final = "none"
ABILITIES: Final[tuple[str, ...]] = ("temporal", "comparison", "coreference", "reasoning")

# By ability; ``{ordinal}`` is the image asked about.
TEMPLATES: Final = MappingProxyType(
    {
        SINGLE: "Is the {area} {modality} {task} positive?",
        "temporal": "How did the {area} {modality} {task} change?",
        "comparison": "In which image is the {area} {modality} {task} positive?",
        "coreference": "In the {ordinal} image is the {area} {modality} {task} positive?",
        "reasoning": "In most images is the {area} {modality} {task} positive?",
    }
)
# Options by ability, in the order of the label's index.
OPTION_WORDS: Final = MappingProxyType(
    {
        SINGLE: ANSWERS,
        "temporal": ("worse", "better", "stable"),
        "comparison": ORDINALS[:2],
        "coreference": ANSWERS,
        "reasoning": ANSWERS,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomKey:
    """Which questions a subset asks; ``ability`` is ``none`` or one of ``ABILITIES``."""

    modality: str
    area: str
    task: str
    ability: str = SINGLE

    @property
    def name(self) -> str:
        """The subset's name, such as ``xray-lung-staging`` or ``mri-bone-grading-temporal``."""
        parts = (self.modality, self.area, self.task)
        return "-".join(parts if self.ability == SINGLE else (*parts, self.ability))


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomSample:
    """One question with its 8-bit images (48, 48), options in display order and the index of the gold one."""

    images: tuple[NDArray[np.uint8], ...]
    question: str
    options: tuple[str, ...]
    answer_index: int
    label: str


def all_keys() -> tuple[PhantomKey, ...]:
    """Every key of the corpus: 144 single-image triplets, then as many of each of the four abilities."""
    return tuple(
        PhantomKey(modality=m, area=a, task=t, ability=ability)
        for ability in (SINGLE, *ABILITIES)
        for m in MODALITIES
        for a in AREAS
        for t in TASKS
    )


def sample_rng(seed: int, *parts: str | int) -> np.random.Generator:
    """A generator of its own for every sample, so that a subset of n is a prefix of a larger one."""
    text = "/".join(["phantom", str(seed), *map(str, parts)])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


def label_index(seed: int, name: str, split: str, index: int, num_labels: int) -> int:
    """Label of a sample: every run of ``num_labels`` samples holds each label once, in random order."""
    block, place = divmod(index, num_labels)
    return int(sample_rng(seed, name, split, "block", block).permutation(num_labels)[place])


def image_answers(rng: np.random.Generator, ability: str, label: int) -> tuple[tuple[bool, ...], int]:
    """What is true of each image, given the answer to the whole question.

    Args:
        rng: source of randomness.
        ability: ``none`` or one of ``ABILITIES``.
        label: index into ``OPTION_WORDS[ability]``.

    Returns:
        One truth an image, and the index of the image that is asked about (0 where all are). One image alone is right
        in 2 of 3 cases (temporal, reasoning) or 3 of 4 (coreference); of a comparison each image decides by itself.
    """
    if ability == "temporal":  # worse, better, stable
        both = bool(rng.integers(2))
        return ((False, True), (True, False), (both, both))[label], 0
    if ability == "comparison":
        return (label == 0, label == 1), 0
    if ability == "coreference":
        asked, num = int(rng.integers(2)), 2
        return tuple(bool(label) if i == asked else bool(rng.integers(2)) for i in range(num)), asked
    if ability == "reasoning":  # all but one image say what most say
        odd = int(rng.integers(len(ORDINALS)))
        return tuple(bool(label) != (i == odd) for i in range(len(ORDINALS))), 0
    return (bool(label),), 0


def make_sample(key: PhantomKey, *, seed: int, split: str, index: int) -> PhantomSample:
    """Make one sample of a subset; the same arguments always give the same sample.

    Args:
        key: which subset.
        seed: of the whole corpus.
        split: any name; different names give independent samples.
        index: position in the subset's file, from 0.
    """
    words, place = OPTION_WORDS[key.ability], scene_index(key.name, index)
    label = label_index(seed, key.name, split, place, len(words))
    rng = sample_rng(seed, key.name, split, place)
    rule = rule_of(key.modality, key.area, key.task)
    truths, asked = image_answers(rng, key.ability, label)
    scenes = [sample_scene(rng, rule, truth) for truth in truths]
    if place != index:  # the same scene, photographed again
        rng = sample_rng(seed, key.name, split, "again", index)
    images = tuple(render(scene, key.modality, key.area, rng) for scene in scenes)
    order = [int(i) for i in rng.permutation(len(words))]
    written = written_label(key.name, label, len(words), rng)
    slots = {"area": key.area, "modality": key.modality, "task": key.task, "ordinal": ORDINALS[asked]}
    return PhantomSample(
        images=images,
        question=TEMPLATES[key.ability].format(**slots),
        options=tuple(words[i] for i in order),
        answer_index=order.index(written),
        label=words[written],
    )


def option_lines(options: tuple[str, ...]) -> str:
    """The options as shown, one a line: ``A: yes``."""
    return "\n".join(f"{letter}: {option}" for letter, option in zip(LETTERS, options, strict=False))


def prompt(question: str, options: tuple[str, ...]) -> str:
    """The text a model reads: question, options and the instruction line; an open question stands alone."""
    return f"{question}\n{option_lines(options)}\n{INSTRUCTION}" if options else question
