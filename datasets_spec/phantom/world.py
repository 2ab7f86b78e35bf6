"""The phantom world as data: its elements, its hidden rules and its looks.

Three rules make an answer, one an element, and all must be known: the *modality* decides which pattern a lesion shows,
the *area* in which region it counts, the *task* which criterion is asked. A question names the three words and none of
the rules; the answer is yes or no whatever the task, so that neither the options nor a word give anything away. A model
that has met a modality, an area and a task in different company can answer the triplet it never saw, if it has learned
the three rules apart. ``docs/phantom.md`` says what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

# Part of every identity of a measurement on the corpus: raise it when any sample changes. A test holds some samples.
WORLD_VERSION: Final = 2
NUM_ROWS: Final = 4
NUM_CELLS: Final = NUM_ROWS * NUM_ROWS
IMAGE_SIZE: Final = 48  # pixels a side; one cell is one 12-pixel patch of the phantom backbone

Pattern = Literal["solid", "ring", "twin"]
Criterion = Literal["large", "upright", "left", "strong"]

PATTERNS: Final[tuple[Pattern, ...]] = ("solid", "ring", "twin")
CRITERIA: Final[tuple[Criterion, ...]] = ("large", "upright", "left", "strong")
ANSWERS: Final[tuple[str, ...]] = ("no", "yes")
ORDINALS: Final[tuple[str, ...]] = ("first", "second", "third")


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


# The modality's look is visible; its rule is not.
LOOKS: Final = MappingProxyType(
    {
        "xray": Look(gain=0.8, noise=0.03, artefact="ramp"),
        "ct": Look(gain=1.15, noise=0.015, artefact="none"),
        "mri": Look(gain=0.95, noise=0.02, artefact="bias"),
        "ultrasound": Look(gain=1.0, noise=0.01, speckle=0.08, artefact="arcs"),
        "oct": Look(gain=0.9, noise=0.02, artefact="bands"),
        "dermoscopy": Look(gain=0.95, noise=0.015, artefact="hair"),
        "photo": Look(gain=0.95, noise=0.03, artefact="photo"),  # only the backbone's own training uses it
    }
)

# Modality rule: the pattern a true lesion shows. Two modalities a pattern, so that no pattern is rare.
PATTERN_OF_MODALITY: Final[MappingProxyType[str, Pattern]] = MappingProxyType(
    {"xray": "solid", "ct": "ring", "mri": "twin", "ultrasound": "ring", "oct": "twin", "dermoscopy": "solid"}
)


def _cells(rows: tuple[int, ...], columns: tuple[int, ...]) -> frozenset[int]:
    return frozenset(row * NUM_ROWS + column for row in rows for column in columns)


_ALL: Final = (0, 1, 2, 3)
LEFT_CELLS: Final = _cells(_ALL, (0, 1))

# Three halvings of the image, each region the other half of its neighbour. Together with left and right they name every
# cell once, so that a cell can be inside a region, on either side, and anywhere in the other halvings.
REGIONS: Final = MappingProxyType(
    {
        "upper": _cells((0, 1), _ALL),
        "lower": _cells((2, 3), _ALL),
        "outer": _cells(_ALL, (0, 3)),
        "inner": _cells(_ALL, (1, 2)),
        "middle": _cells((1, 2), _ALL),
        "edge": _cells((0, 3), _ALL),
    }
)

# Area rule: where a lesion counts.
REGION_OF_AREA: Final = MappingProxyType(
    {"brain": "upper", "breast": "lower", "lung": "outer", "bone": "inner", "fundus": "middle", "kidney": "edge"}
)

# Task rule: what is asked of the lesion.
CRITERION_OF_TASK: Final[MappingProxyType[str, Criterion]] = MappingProxyType(
    {"staging": "large", "histology": "upright", "laterality": "left", "grading": "strong"}
)

MODALITIES: Final[tuple[str, ...]] = tuple(PATTERN_OF_MODALITY)
AREAS: Final[tuple[str, ...]] = tuple(REGION_OF_AREA)
TASKS: Final[tuple[str, ...]] = tuple(CRITERION_OF_TASK)
BASE_SHAPES: Final[tuple[str, ...]] = ("square", "triangle", "frame")  # only the backbone's own training


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What counts as a lesion (pattern and cell numbers, row-major, 0..15) and what is asked of it."""

    pattern: Pattern
    cells: frozenset[int]
    criterion: Criterion

    @property
    def outside(self) -> frozenset[int]:
        """The cells that do not count."""
        return frozenset(range(NUM_CELLS)) - self.cells


def rule_of(modality: str, area: str, task: str) -> Rule:
    """The hidden rule of a triplet.

    Args:
        modality: one of ``MODALITIES``.
        area: one of ``AREAS``.
        task: one of ``TASKS``.

    Raises:
        KeyError: for a name that is not in the world.
    """
    return Rule(
        pattern=PATTERN_OF_MODALITY[modality],
        cells=REGIONS[REGION_OF_AREA[area]],
        criterion=CRITERION_OF_TASK[task],
    )
