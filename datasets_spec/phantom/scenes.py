"""Scenes: which blobs lie in which cells, sampled so that two rules of three are not enough.

Every scene holds one lesion, whose four properties are drawn by chance; the answer is the one that is asked for. Beside
it stand its *mirrors*, blobs that are its opposite in all four: one of the right pattern outside the region, one of a
wrong pattern inside it; and its *double*, of the wrong pattern and outside, that looks like it in all four. Whoever
ignores the area sees lesion and mirror and cannot tell which is which; the same for whoever ignores the modality; and
since all properties are mirrored, nothing says which one is asked for. Some scenes hold less, so that a fine-tune has a
direction to start in. What a reader that ignores one rule can reach follows from ``SCENE_SHARES``:

=================  =============================================  =======
ignored            right in                                       at best
=================  =============================================  =======
area               alone, inside; half of the rest                67.5 %
modality           alone, outside; half of the rest               67.5 %
area and modality  alone; half of the rest                        60.0 %
task               a vote of four independent properties          68.8 %
=================  =============================================  =======
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from datasets_spec.phantom.world import LEFT_CELLS, NUM_CELLS, PATTERNS, Criterion, Rule

SceneKind = Literal["alone", "inside", "outside", "all"]
# Share of scenes in which the lesion stands alone, with its mirror inside the region, with its mirror outside, with
# both mirrors and the double. More of the first three would push a reader of two rules beyond 70 %; with contrary
# scenes only, fine-tunes of the first corpus learned nothing (docs/phantom.md).
SCENE_SHARES: Final[dict[SceneKind, float]] = {"alone": 0.20, "inside": 0.15, "outside": 0.15, "all": 0.50}


@dataclass(frozen=True, slots=True)
class Blob:
    """One spot.

    Attributes:
        cell: 0..15, row-major.
        pattern: index into ``PATTERNS``.
        large: its size.
        upright: its direction.
        strong: its contrast.
        bright: its polarity, drawn by chance and without a meaning: it takes the blob out of every average over images,
            so that no linear readout of pixels can find it.
    """

    cell: int
    pattern: int
    large: bool
    upright: bool
    strong: bool
    bright: bool

    @property
    def left(self) -> bool:
        """Whether it lies in the left half."""
        return self.cell in LEFT_CELLS

    def meets(self, criterion: Criterion) -> bool:
        """Whether it has the property that a criterion asks for."""
        return bool(getattr(self, criterion))


def lesions(blobs: Sequence[Blob], rule: Rule) -> tuple[Blob, ...]:
    """The blobs that count under a rule."""
    pattern = PATTERNS.index(rule.pattern)
    return tuple(b for b in blobs if b.pattern == pattern and b.cell in rule.cells)


class _Draw:
    """Uniform numbers drawn at once and handed out one by one: scalar calls of numpy would cost five times more."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._numbers = rng.random(96).tolist()

    def chance(self, probability: float = 0.5) -> bool:
        return bool(self._numbers.pop() < probability)

    def below(self, num: int) -> int:
        return int(self._numbers.pop() * num)

    def kind(self) -> SceneKind:
        number = self._numbers.pop()
        for kind, share in SCENE_SHARES.items():
            number -= share
            if number < 0:
                return kind
        return "all"

    def cell(self, cells: frozenset[int], left: bool) -> int:
        """One of the cells, in the left or right half."""
        places = sorted(cells & LEFT_CELLS if left else cells - LEFT_CELLS)
        return places[self.below(len(places))]


def sample_scene(rng: np.random.Generator, rule: Rule, answer: bool) -> tuple[Blob, ...]:
    """Draw one scene with a given answer.

    Args:
        rng: source of randomness.
        rule: what counts as the lesion and what is asked of it.
        answer: whether the lesion meets the criterion.

    Returns:
        One to four blobs, the lesion first, one a cell at most.
    """
    draw = _Draw(rng)
    right = PATTERNS.index(rule.pattern)
    wrong = (right + 1 + draw.below(len(PATTERNS) - 1)) % len(PATTERNS)
    own = {name: draw.chance() for name in ("large", "upright", "left", "strong")}
    own[rule.criterion] = answer
    mirrored = {name: not value for name, value in own.items()}

    def blob(pattern: int, cells: frozenset[int], looks: dict[str, bool]) -> Blob:
        cell = draw.cell(cells, looks["left"])
        return Blob(cell, pattern, looks["large"], looks["upright"], looks["strong"], draw.chance())

    kind = draw.kind()
    blobs = [blob(right, rule.cells, own)]
    if kind in ("inside", "all"):
        blobs.append(blob(wrong, rule.cells, mirrored))
    if kind in ("outside", "all"):
        blobs.append(blob(right, rule.outside, mirrored))
    if kind == "all":
        blobs.append(blob(wrong, rule.outside, own))
    return tuple(blobs)


def sample_clutter(rng: np.random.Generator, max_blobs: int = 7) -> tuple[Blob, ...]:
    """Draw 0..``max_blobs`` blobs anywhere, for the backbone's dense vision training."""
    draw = _Draw(rng)
    cells = rng.permutation(NUM_CELLS)[: draw.below(max_blobs + 1)].tolist()
    return tuple(
        Blob(cell, draw.below(len(PATTERNS)), draw.chance(), draw.chance(), draw.chance(), draw.chance())
        for cell in cells
    )
