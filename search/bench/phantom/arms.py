"""Matched training compositions for a target: related, the same without one element, unrelated, single, random.

Every arm holds as many samples from as many sources (``NUM_SOURCES``; ``single`` one). An arm without an element is the
related arm with that element replaced in the four sources that have it; the control has all three replaced. What
differs between two of these is the element and nothing else. No arm holds the target's own triplet, a flawed source or
an ability.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, NamedTuple

from datasets_spec.phantom.flaws import FLAWS
from datasets_spec.phantom.questions import PhantomKey
from datasets_spec.phantom.world import AREAS, MODALITIES, TASKS

NUM_SOURCES: Final = 6
# Places in the related arm of a source that shares modality and area, modality and task, area and task.
SINGLE_PLACES: Final = (0, 2, 4)
ARMS: Final[tuple[str, ...]] = (
    "related",
    "without_modality",
    "without_area",
    "without_task",
    "control",
    "random",
    "single",
)


class Triplet(NamedTuple):
    """Modality, area and task of a single-image subset."""

    modality: str
    area: str
    task: str

    @property
    def name(self) -> str:
        """The subset's name."""
        return PhantomKey(modality=self.modality, area=self.area, task=self.task).name


def triplet_of(name: str) -> Triplet:
    """The triplet in a subset's name, ability or not."""
    return Triplet(*name.split("-")[:3])


def arms_of(target: str, seed: int) -> dict[str, tuple[str, ...]]:
    """The compositions of a target, one an arm.

    Args:
        target: name of a subset; of an ability only its triplet matters.
        seed: of the draw of the other elements.

    Returns:
        Arm -> names of its sources, each to be used with as many samples as the arm's size asks for.
    """
    goal = triplet_of(target)
    rng = random.Random(f"phantom arms/{goal.name}/{seed}")
    while True:
        arms = _draw_arms(goal, rng)
        names = {source for sources in arms.values() for source in sources}
        if not names & set(FLAWS):
            place = SINGLE_PLACES[seed % len(SINGLE_PLACES)]
            return {**arms, "single": arms["related"][place : place + 1]}


def _others(elements: tuple[str, ...], one: str, rng: random.Random) -> list[str]:
    rest = [element for element in elements if element != one]
    rng.shuffle(rest)
    return rest


def _draw_arms(goal: Triplet, rng: random.Random) -> dict[str, tuple[str, ...]]:
    m = _others(MODALITIES, goal.modality, rng)
    a = _others(AREAS, goal.area, rng)
    t = _others(TASKS, goal.task, rng)
    related = [
        goal._replace(task=t[0]),
        goal._replace(task=t[1]),
        goal._replace(area=a[0]),
        goal._replace(area=a[1]),
        goal._replace(modality=m[0]),
        goal._replace(modality=m[1]),
    ]
    modalities = (m[2], m[3], m[2], m[3], m[0], m[1])
    areas = (a[2], a[3], a[0], a[1], a[2], a[3])
    tasks = (t[0], t[1], t[2], t[0], t[1], t[2])

    def swap(change: Callable[[Triplet, int], Triplet]) -> list[Triplet]:
        return [change(source, place) for place, source in enumerate(related)]

    arms = {
        "related": related,
        "without_modality": swap(lambda s, i: s._replace(modality=modalities[i])),
        "without_area": swap(lambda s, i: s._replace(area=areas[i])),
        "without_task": swap(lambda s, i: s._replace(task=tasks[i])),
        "control": [Triplet(*elements) for elements in zip(modalities, areas, tasks, strict=True)],
        "random": _random_sources(goal, rng),
    }
    return {arm: tuple(source.name for source in sources) for arm, sources in arms.items()}


def _random_sources(goal: Triplet, rng: random.Random) -> list[Triplet]:
    every = [Triplet(m, a, t) for m in MODALITIES for a in AREAS for t in TASKS]
    return rng.sample([triplet for triplet in every if triplet != goal], NUM_SOURCES)
