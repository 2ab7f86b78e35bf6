"""The corpus's questions: every subset's key, words and samples.

Words. A question names the modality and the area, so which rules apply can be read; what they mean must be learned.
Task words are familiar to the phantom backbone. New task words (``NEW_OPTION_WORDS``) would make the task matter more,
but a LoRA trial of 80 steps did not learn six such subsets (``docs/phantom.md``); the backbone knows them from copying
only, so that they can be tried again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.phantom.render import render
from datasets_spec.phantom.scenes import Blob, sample_pair, sample_scene
from datasets_spec.phantom.world import AREAS, LABELS, MODALITIES, ORDINALS, TASKS, rule_of

LETTERS: Final = "ABCDEFG"
INSTRUCTION: Final = "Answer with the option's letter from the given choices directly."
TEMPORAL: Final = "temporal"
COREFERENCE: Final = "coreference"

# Label -> the word shown, by task. Same order as LABELS.
OPTION_WORDS: Final = LABELS
NEW_OPTION_WORDS: Final = MappingProxyType(
    {"presence": ("positive", "negative"), "size": ("mild", "severe"), "kind": ("nodular", "annular", "linear")}
)

TEMPLATES: Final = MappingProxyType(
    {
        "presence": "In the {area} region is any {modality} lesion visible?",
        "size": "In the {area} region how large is the {modality} lesion?",
        "kind": "In the {area} region what shape is the {modality} lesion?",
        "change": "In the {area} region compared with the first image how is the {modality} lesion in the second?",
        "coreference": "In the {area} region of the {ordinal} image is any {modality} lesion visible?",
    }
)
NEW_TEMPLATES: Final = MappingProxyType(
    {
        "presence": "In the {area} region what is the {modality} screening result?",
        "size": "In the {area} region what grade is the {modality} lesion?",
        "kind": "In the {area} region what histology is the {modality} lesion?",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomKey:
    """Which questions a subset asks; ``ability`` is ``none``, ``temporal`` or ``coreference``."""

    modality: str
    area: str
    task: str
    ability: str = "none"

    @property
    def name(self) -> str:
        """The subset's name, such as ``xray-lung-presence`` or ``mri-bone-presence-temporal``."""
        parts = (self.modality, self.area, self.task)
        return "-".join(parts if self.ability == "none" else (*parts, self.ability))

    @property
    def form(self) -> str:
        """Which template and labels apply."""
        return {TEMPORAL: "change", COREFERENCE: "coreference"}.get(self.ability, self.task)


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomSample:
    """One question with its 8-bit images (48, 48), options in display order and the index of the gold one."""

    images: tuple[NDArray[np.uint8], ...]
    question: str
    options: tuple[str, ...]
    answer_index: int
    label: str


def all_keys() -> tuple[PhantomKey, ...]:
    """Every key of the corpus: 108 single-image triplets, then 36 temporal and 36 coreference ones."""
    single = [PhantomKey(modality=m, area=a, task=t) for m in MODALITIES for a in AREAS for t in TASKS]
    pairs = [
        PhantomKey(modality=m, area=a, task="presence", ability=ability)
        for ability in (TEMPORAL, COREFERENCE)
        for m in MODALITIES
        for a in AREAS
    ]
    return (*single, *pairs)


def sample_rng(seed: int, *parts: str | int) -> np.random.Generator:
    """A generator of its own for every sample, so that a subset of n is a prefix of a larger one."""
    text = "/".join(["phantom", str(seed), *map(str, parts)])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


def label_index(seed: int, name: str, split: str, index: int, num_labels: int) -> int:
    """Label of a sample: every run of ``num_labels`` samples holds each label once, in random order."""
    block, place = divmod(index, num_labels)
    return int(sample_rng(seed, name, split, "block", block).permutation(num_labels)[place])


def make_sample(key: PhantomKey, *, seed: int, split: str, index: int) -> PhantomSample:
    """Make one sample of a subset; the same arguments always give the same sample.

    Args:
        key: which subset.
        seed: of the whole corpus.
        split: any name; different names give independent samples.
        index: position in the subset's file, from 0.
    """
    labels, words = LABELS[key.form], OPTION_WORDS[key.form]
    label = label_index(seed, key.name, split, index, len(labels))
    rng = sample_rng(seed, key.name, split, index)
    rule = rule_of(key.modality, key.area)
    scenes: tuple[tuple[Blob, ...], ...]
    ordinal = int(rng.integers(len(ORDINALS))) if key.form == "coreference" else 0
    if key.form == "change":
        scenes = sample_pair(rng, rule, labels[label])
    elif key.form == "coreference":
        # The image that is not asked about has an answer of its own, so that it has to be told apart.
        answers = [label if i == ordinal else int(rng.integers(2)) for i in range(len(ORDINALS))]
        scenes = tuple(sample_scene(rng, rule, "presence", answer) for answer in answers)
    else:
        scenes = (sample_scene(rng, rule, key.task, label),)
    images = tuple(render(scene, key.modality, key.area, rng) for scene in scenes)
    order = [int(i) for i in rng.permutation(len(words))]
    return PhantomSample(
        images=images,
        question=TEMPLATES[key.form].format(area=key.area, modality=key.modality, ordinal=ORDINALS[ordinal]),
        options=tuple(words[i] for i in order),
        answer_index=order.index(label),
        label=words[label],
    )


def option_lines(options: tuple[str, ...]) -> str:
    """The options as shown, one a line: ``A: mild``."""
    return "\n".join(f"{letter}: {option}" for letter, option in zip(LETTERS, options, strict=False))


def prompt(question: str, options: tuple[str, ...]) -> str:
    """The text a model reads: question, options and the instruction line; an open question stands alone."""
    return f"{question}\n{option_lines(options)}\n{INSTRUCTION}" if options else question
