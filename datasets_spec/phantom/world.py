"""The phantom world as data: its elements, its hidden rules and its looks.

Two rules make a lesion, and both must hold: its *polarity* is the modality's, and it lies in the area's *region*.
A third element, the task, decides what is asked and in which words. A model that has seen a modality with one area
and an area with another modality can answer the pair it never saw, if it has learned the two rules apart.
Geometry and rules follow a feasibility study; ``docs/phantom.md`` says what was measured here.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

NUM_ROWS: Final = 4
NUM_CELLS: Final = NUM_ROWS * NUM_ROWS
IMAGE_SIZE: Final = 48  # pixels a side; one cell is one 12-pixel patch of the phantom backbone

ModalityName = Literal["xray", "ct", "mri", "ultrasound", "oct", "dermoscopy"]
AreaName = Literal["brain", "lung", "bone", "breast", "fundus", "kidney"]
TaskName = Literal["presence", "size", "kind"]

TASKS: Final[tuple[str, ...]] = ("presence", "size", "kind")
SIZES: Final[tuple[str, ...]] = ("small", "large")
KINDS: Final[tuple[str, ...]] = ("solid", "ring", "bar")
CHANGES: Final[tuple[str, ...]] = ("worse", "better", "stable")
ORDINALS: Final[tuple[str, ...]] = ("first", "second")


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How a modality renders one scene.

    Attributes:
        gain: factor on the contrast of organ and blobs.
        noise: standard deviation of additive Gaussian noise, in grey levels of 0..1.
        speckle: standard deviation of multiplicative noise.
        artefact: name of the typical structure drawn over the scene.
    """

    gain: float
    noise: float
    speckle: float = 0.0
    artefact: Literal["ramp", "none", "bias", "arcs", "bands", "hair", "photo"]


# The modality's look is visible; its rule (polarity) is not.
LOOKS: Final = MappingProxyType(
    {
        "xray": Look(gain=0.75, noise=0.03, artefact="ramp"),
        "ct": Look(gain=1.15, noise=0.015, artefact="none"),
        "mri": Look(gain=0.95, noise=0.02, artefact="bias"),
        "ultrasound": Look(gain=1.0, noise=0.01, speckle=0.09, artefact="arcs"),
        "oct": Look(gain=0.9, noise=0.02, artefact="bands"),
        "dermoscopy": Look(gain=0.95, noise=0.015, artefact="hair"),
        "photo": Look(gain=0.95, noise=0.03, artefact="photo"),  # only the backbone's own training uses it
    }
)

MODALITIES: Final[tuple[str, ...]] = ("xray", "ct", "mri", "ultrasound", "oct", "dermoscopy")

# Modality rule: what a true lesion looks like. True is bright, False is dark.
LESION_IS_BRIGHT: Final = MappingProxyType(
    {"xray": True, "ct": True, "oct": True, "mri": False, "ultrasound": False, "dermoscopy": False}
)


def _cells(rows: tuple[int, ...], columns: tuple[int, ...]) -> frozenset[int]:
    return frozenset(row * NUM_ROWS + column for row in rows for column in columns)


_ALL: Final = (0, 1, 2, 3)

REGIONS: Final = MappingProxyType(
    {
        "upper": _cells((0, 1), _ALL),
        "lower": _cells((2, 3), _ALL),
        "outer": _cells(_ALL, (0, 3)),
        "inner": _cells(_ALL, (1, 2)),
        "middle": _cells((1, 2), _ALL),
        "edge": _cells((0, 3), _ALL),
        "whole": _cells(_ALL, _ALL),
    }
)

# Area rule: where a lesion counts.
REGION_OF_AREA: Final = MappingProxyType(
    {
        "brain": "upper",
        "breast": "lower",
        "lung": "outer",
        "bone": "inner",
        "fundus": "middle",
        "kidney": "edge",
    }
)

AREAS: Final[tuple[str, ...]] = ("brain", "lung", "bone", "breast", "fundus", "kidney")
BASE_SHAPES: Final[tuple[str, ...]] = ("square", "triangle", "frame")  # only the backbone's own training

LABELS: Final = MappingProxyType(
    {"presence": ("yes", "no"), "size": SIZES, "kind": KINDS, "change": CHANGES, "coreference": ("yes", "no")}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What counts as a lesion: a polarity and a region (cell numbers, row-major, 0..15)."""

    bright: bool
    cells: frozenset[int]

    @property
    def outside(self) -> frozenset[int]:
        """The cells that do not count."""
        return REGIONS["whole"] - self.cells


def rule_of(modality: str, area: str) -> Rule:
    """The hidden rule of a modality and an area.

    Args:
        modality: one of ``MODALITIES``.
        area: one of ``AREAS``.

    Raises:
        KeyError: for a name that is not in the world.
    """
    return Rule(bright=LESION_IS_BRIGHT[modality], cells=REGIONS[REGION_OF_AREA[area]])
