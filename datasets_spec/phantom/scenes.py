"""Scenes: which blobs lie in which cells, sampled so that half a rule is not enough.

Every scene mixes lesions with distractors of three sorts: in the region with the wrong polarity, outside it with
the right one, outside it with the wrong one. The total number of blobs says nothing about the label. A reader that
ignores the area or the modality stays well above chance on size and kind: the measured ceilings stand in
``docs/phantom.md`` and in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from datasets_spec.phantom.world import KINDS, LABELS, REGIONS, Rule

# Probability that a distractor shows another value than the lesion's; chance is 1/2 (size) and 2/3 (kind).
# With fully contrary distractors (0.7 and 0.8 outside) a LoRA trial learned nothing from six subsets: half a rule
# must be worth something, or the first steps have no direction (docs/phantom.md).
CONTRARY_OUTSIDE: Final = {"size": 0.40, "kind": 0.50}
CONTRARY_INSIDE: Final = {"size": 0.50, "kind": 0.60}


@dataclass(frozen=True, slots=True)
class Blob:
    """One spot: its cell (0..15), polarity, size and kind (index into ``KINDS``)."""

    cell: int
    bright: bool
    large: bool
    kind: int


def _contrary(rng: np.random.Generator, value: int, num_values: int, probability: float) -> int:
    if rng.random() >= probability:
        return value
    return (value + 1 + int(rng.integers(num_values - 1))) % num_values


def _attributes(rng: np.random.Generator, task: str, value: int | None, chance: float) -> tuple[bool, int]:
    """Size and kind of a blob; the asked attribute differs from ``value`` with the given chance."""
    large, kind = bool(rng.integers(2)), int(rng.integers(len(KINDS)))
    if value is not None and task == "size":
        large = bool(_contrary(rng, value, 2, chance))
    elif value is not None and task == "kind":
        kind = _contrary(rng, value, len(KINDS), chance)
    return large, kind


def _counts(rng: np.random.Generator, task: str, label: int) -> tuple[int, int, int, int]:
    """Numbers of lesions, wrong-polarity inside, right-polarity outside, total."""
    total = int(rng.integers(6, 8))
    if task == "presence":
        num_lesions = int(rng.integers(1, 3)) if LABELS["presence"][label] == "yes" else 0
        return num_lesions, int(rng.integers(3)), int(rng.integers(3)), total
    return 1, int(rng.integers(1, 3)), int(rng.integers(3)), total


def sample_scene(rng: np.random.Generator, rule: Rule, task: str, label: int) -> tuple[Blob, ...]:
    """Draw one scene whose answer is ``label``.

    Args:
        rng: source of randomness.
        rule: what counts as a lesion.
        task: ``presence``, ``size`` or ``kind``.
        label: index into ``LABELS[task]``.

    Returns:
        Six or seven blobs (fewer where the region is the whole image), in random order, one a cell at most.
    """
    num_lesions, num_inside, num_outside, total = _counts(rng, task, label)
    inside = [int(c) for c in rng.permutation(sorted(rule.cells))]
    outside = [int(c) for c in rng.permutation(sorted(rule.outside))]
    value = None if task == "presence" else label
    blobs = [Blob(inside.pop(), rule.bright, *_attributes(rng, task, value, 0.0)) for _ in range(num_lesions)]
    chance = CONTRARY_INSIDE.get(task, 0.0)
    blobs += [Blob(inside.pop(), not rule.bright, *_attributes(rng, task, value, chance)) for _ in range(num_inside)]
    if outside:
        chance = CONTRARY_OUTSIDE.get(task, 0.0)
        blobs += [Blob(outside.pop(), rule.bright, *_attributes(rng, task, value, chance)) for _ in range(num_outside)]
        blobs += [
            Blob(outside.pop(), not rule.bright, *_attributes(rng, task, None, 0.0)) for _ in range(total - len(blobs))
        ]
    return tuple(blobs[i] for i in rng.permutation(len(blobs)))


def sample_pair(rng: np.random.Generator, rule: Rule, change: str) -> tuple[tuple[Blob, ...], tuple[Blob, ...]]:
    """Draw a first and a second scene between which the lesion appears, goes or stays as it was.

    Args:
        rng: source of randomness.
        rule: what counts as a lesion.
        change: ``worse`` (none, then one), ``better`` (one, then none) or ``stable`` (both or neither).

    Returns:
        The two scenes. Neither alone decides: the best reader of one image is right in 2 of 3 cases.
    """
    if change == "stable":
        first = second = int(rng.integers(2))
    else:
        first, second = (1, 0) if change == "worse" else (0, 1)  # index into ("yes", "no")
    return sample_scene(rng, rule, "presence", first), sample_scene(rng, rule, "presence", second)


def sample_clutter(rng: np.random.Generator, max_blobs: int = 7) -> tuple[Blob, ...]:
    """Draw 0..``max_blobs`` blobs anywhere, for the backbone's dense vision training."""
    cells = rng.permutation(sorted(REGIONS["whole"]))[: int(rng.integers(max_blobs + 1))]
    return tuple(
        Blob(int(c), bool(rng.integers(2)), bool(rng.integers(2)), int(rng.integers(len(KINDS)))) for c in cells
    )


def lesions(blobs: tuple[Blob, ...], rule: Rule) -> tuple[Blob, ...]:
    """The blobs that count under a rule."""
    return tuple(b for b in blobs if b.bright == rule.bright and b.cell in rule.cells)
