"""Med-MAT's controlled experiments: sources that supply a target's elements between them (tables 3 and 10)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from search.designs.published.lookup import published_controlled, published_three_sources
from search.designs.rows import RELATED, Arm, DesignRow, SubsetPool, arms_with_control, contrasts_of
from search.seeds import derived_rng
from search.space.composition import Composition
from search.study.sections.design import DesignSection, Direction

# What the first and the second source share with the target, beside nothing else, in each direction.
ELEMENTS: dict[Direction, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "fixed_modality": (("modality", "area"), ("modality", "task")),
    "fixed_area": (("modality", "area"), ("area", "task")),
    "fixed_task": (("modality", "task"), ("area", "task")),
    "modality_area_pair": (("modality_area",), ("task",)),
}


def pairs_of(pool: SubsetPool, target: str, direction: Direction) -> Iterator[tuple[str, str]]:
    """All pairs of sources for a target in one direction, sorted.

    In `fixed_modality` both have the target's modality, one its area and one its task, and so on; with
    `modality_area_pair` one has the target's pair and the other its task. A source with the target's own key is in
    no pair, nor is one of another ability.
    """
    first, second = ELEMENTS[direction]
    candidates = [s for s in pool.others(target) if pool.key(s).ability == pool.key(target).ability]
    if direction == "modality_area_pair" and not _has_pair(pool, target):
        return
    shares = {s: tuple(e for e in pool.shared(s, target) if e != "ability") for s in candidates}
    for one, other in itertools.product(candidates, candidates):
        if shares[one] == first and shares[other] == second:
            if direction == "modality_area_pair" and not _has_pair(pool, other):
                continue
            yield one, other


def controlled_rows(
    pool: SubsetPool, targets: Sequence[str], section: DesignSection, *, num_samples: int, seed: int
) -> list[DesignRow]:
    """Rows of every target and direction, at most `max_rows` each, drawn by the seed."""
    rows = []
    for direction, target in itertools.product(section.directions, targets):
        found = list(pairs_of(pool, target, direction))
        for pair in _drawn(found, section.max_rows, seed, direction, target):
            published = published_controlled(direction, [pool.key(source) for source in pair], target)
            rows.append(_row(pool, direction, target, pair, num_samples, published))
    return rows


def three_source_rows(
    pool: SubsetPool, targets: Sequence[str], section: DesignSection, *, num_samples: int, seed: int
) -> list[DesignRow]:
    """Rows whose three sources share exactly one element each with the target: modality, area, task."""
    rows = []
    for target in targets:
        by_element = [
            [s for s in pool.others(target) if pool.shared(s, target) == (element,)]
            for element in ("modality", "area", "task")
        ]
        found = list(itertools.product(*by_element))
        for triple in _drawn(found, section.max_rows, seed, "three_sources", target):
            published = published_three_sources(triple, pool.key(target))
            rows.append(_row(pool, "three_sources", target, triple, num_samples, published))
    return rows


def _row(
    pool: SubsetPool, group: str, target: str, sources: tuple[str, ...], num_samples: int, published: dict[str, float]
) -> DesignRow:
    counts = {source: min(num_samples, pool.rows[source]) for source in sources}
    arms = arms_with_control(pool, target, Arm(name=RELATED, composition=Composition(counts)))
    return DesignRow(
        name=f"{group}/{target}/{'+'.join(sources)}",
        group=group,
        target=target,
        sources=sources,
        arms=arms,
        contrasts=contrasts_of(arms, RELATED),
        published=published,
    )


def _drawn(found: Sequence[tuple[str, ...]], most: int, seed: int, group: str, target: str) -> list[tuple[str, ...]]:
    if len(found) <= most:
        return list(found)
    return sorted(derived_rng(seed, "design", group, target).sample(found, most))


def _has_pair(pool: SubsetPool, subset: str) -> bool:
    key = pool.key(subset)
    return (key.modality, key.area) in pool.task_map.modality_area_pairs
