"""Which single-image sources carry a multi-image ability."""

from __future__ import annotations

from collections.abc import Sequence

from search.designs.rows import BASELINE, DesignRow, SubsetPool, baseline_arm, spread_arms


def ability_rows(pool: SubsetPool, abilities: Sequence[str], *, budget: int) -> list[DesignRow]:
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
        arms = spread_arms(pool, groups, budget)
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
