"""Designs at a fixed budget of samples: what is lost without an element, and when nothing is shared at all."""

from __future__ import annotations

from collections.abc import Sequence

from search.designs.published.lookup import published_arms
from search.designs.rows import BASELINE, RELATED, Arm, DesignRow, Pool, baseline_arm
from search.space.composition import Composition

ALL, UNRELATED, ZERO_OVERLAP = "all", "unrelated", "zero_overlap"
ELEMENT_NAMES = ("modality", "area", "task")


def disruption_rows(pool: Pool, targets: Sequence[str], *, budget: int) -> list[DesignRow]:
    """All, related, unrelated, and related without those that share one element (Med-MAT, figure 4).

    The target's own key is always left out. Every arm has the same number of samples, spread evenly over its subsets;
    the paper does not say how it spread them.
    """
    rows = []
    for target in targets:
        related = pool.related(target)
        groups = {
            RELATED: related,
            UNRELATED: pool.unrelated(target),
            ALL: pool.others(target),
            **{
                f"without_{element}": [s for s in related if not _shares(pool, s, target, element)]
                for element in ELEMENT_NAMES
            },
        }
        arms = _spread(pool, groups, budget)
        names = {arm.name for arm in arms}
        contrasts = [(RELATED, UNRELATED), *((RELATED, f"without_{e}") for e in ELEMENT_NAMES), (ALL, RELATED)]
        rows.append(
            DesignRow(
                name=f"disruption/{target}",
                group="disruption",
                target=target,
                sources=tuple(related),
                arms=(baseline_arm(), *arms),
                contrasts=tuple(pair for pair in contrasts if set(pair) <= names),
                published=published_arms("disruption", target),
            )
        )
    return rows


def zero_overlap_rows(pool: Pool, targets: Sequence[str], *, budget: int) -> list[DesignRow]:
    """Subsets that share no element, exactly one, and two, at equal budget (CrossMed's zero-overlap setting).

    Zero overlap is the same predicate as Med-MAT's unrelated arm; CrossMed's own "unrelated" is not defined in what
    could be read, so it has no arm here.
    """
    rows = []
    for target in targets:
        by_number: dict[int, list[str]] = {}
        for subset in pool.related(target):
            by_number.setdefault(_num_elements(pool, subset, target), []).append(subset)
        groups = {
            ZERO_OVERLAP: pool.unrelated(target),
            "one_element": by_number.get(1, []),
            "two_elements": by_number.get(2, []),
        }
        arms = _spread(pool, groups, budget)
        names = {arm.name for arm in arms}
        contrasts = [
            (ZERO_OVERLAP, BASELINE),
            ("one_element", ZERO_OVERLAP),
            ("two_elements", ZERO_OVERLAP),
            ("two_elements", "one_element"),
        ]
        rows.append(
            DesignRow(
                name=f"zero_overlap/{target}",
                group="zero_overlap",
                target=target,
                sources=tuple(groups[ZERO_OVERLAP]),
                arms=(baseline_arm(), *arms),
                contrasts=tuple(pair for pair in contrasts if set(pair) <= {*names, BASELINE}),
            )
        )
    return rows


def ability_rows(pool: Pool, abilities: Sequence[str], *, budget: int) -> list[DesignRow]:
    """What teaches a multi-image ability: single images, other abilities, or all multi-image subsets (Med-MIM).

    With a source of the ability's own key the last arm is held-in, as Med-MIM's benchmark of the same name; the table
    says so by its exposure. Without one it is held-out.
    """
    rows = []
    for target in abilities:
        own = pool.key(target).ability
        kinds = {subset: pool.key(subset).ability for subset in pool.sources}
        groups = {
            "single_images": [s for s in pool.others(target) if kinds[s] == "none"],
            "other_abilities": [s for s in pool.others(target) if kinds[s] not in ("none", own)],
            "same_ability": [s for s in pool.others(target) if kinds[s] == own],
            "held_in": [*pool.own(target), *(s for s in pool.others(target) if kinds[s] != "none")],
        }
        if not pool.own(target):
            del groups["held_in"]
        arms = _spread(pool, groups, budget)
        names = [arm.name for arm in arms]
        contrasts = [(name, BASELINE) for name in names] + [(name, names[0]) for name in names[1:]]
        rows.append(
            DesignRow(
                name=f"abilities/{target}",
                group=own,
                target=target,
                sources=tuple(pool.others(target)),
                arms=(baseline_arm(), *arms),
                contrasts=tuple(contrasts),
            )
        )
    return rows


def _spread(pool: Pool, groups: dict[str, list[str]], budget: int) -> list[Arm]:
    arms = []
    for name, subsets in groups.items():
        composition = pool.spread(subsets, budget)
        if composition:
            arms.append(Arm(name=name, composition=Composition(composition)))
    return arms


def _shares(pool: Pool, subset: str, target: str, element: str) -> bool:
    shared = pool.shared(subset, target)
    # A modality and area that always occur together are one element: without either, the pair is gone.
    return element in shared or (element in ("modality", "area") and "modality_area" in shared)


def _num_elements(pool: Pool, subset: str, target: str) -> int:
    return len([element for element in pool.shared(subset, target) if element != "ability"])
