"""At a fixed budget of samples: what is lost without an element."""

from __future__ import annotations

from collections.abc import Sequence

from search.designs.kinds.zero_overlap import ALL, UNRELATED
from search.designs.published.lookup import published_arms
from search.designs.rows import RELATED, DesignRow, SubsetPool, baseline_arm, spread_arms

ELEMENT_NAMES = ("modality", "area", "task")


def disruption_rows(pool: SubsetPool, targets: Sequence[str], *, budget: int) -> list[DesignRow]:
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
        arms = spread_arms(pool, groups, budget)
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


def _shares(pool: SubsetPool, subset: str, target: str, element: str) -> bool:
    shared = pool.shared(subset, target)
    # A modality and area that always occur together are one element: without either, the pair is gone.
    return element in shared or (element in ("modality", "area") and "modality_area" in shared)
