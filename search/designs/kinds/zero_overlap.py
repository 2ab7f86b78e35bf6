"""Sources that share nothing with the target."""

from __future__ import annotations

from collections.abc import Sequence

from search.designs.rows import BASELINE, DesignRow, SubsetPool, baseline_arm, spread_arms

ALL, UNRELATED, ZERO_OVERLAP = "all", "unrelated", "zero_overlap"


def zero_overlap_rows(pool: SubsetPool, targets: Sequence[str], *, budget: int) -> list[DesignRow]:
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
        arms = spread_arms(pool, groups, budget)
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


def _num_elements(pool: SubsetPool, subset: str, target: str) -> int:
    return len([element for element in pool.shared(subset, target) if element != "ability"])
