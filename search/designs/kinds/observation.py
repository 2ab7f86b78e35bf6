"""Does seeing an element in one task help in another?"""

from __future__ import annotations

from collections.abc import Sequence

from search.designs.published.lookup import published_arms
from search.designs.rows import BASELINE, Arm, DesignRow, SubsetPool, baseline_arm
from search.space.composition import Composition

SINGLE, SINGLE_MATCHED, MULTI = "single", "single_same_steps", "multi"


def observation_rows(pool: SubsetPool, targets: Sequence[str], *, num_samples: int, num_steps: int) -> list[DesignRow]:
    """A target's own data alone against all tasks together (Med-MAT, tables 1 and 2), and with equal steps.

    At equal epochs the multi-task model makes as many times more updates as it has tasks (25 in the paper), so its
    lead can be more training and not more tasks: `single_same_steps` has its number of steps. A target that is no
    source is Med-MAT's OOD role: it has no single-task arm.
    """
    multi = Composition({s: min(num_samples, pool.rows[s]) for s in pool.sources})
    rows = []
    for target in targets:
        arms = [baseline_arm(), Arm(name=MULTI, composition=multi)]
        contrasts = [(MULTI, BASELINE)]
        if target in pool.sources:
            own = Composition({target: multi[target]})
            share = own.total / multi.total
            arms += [
                Arm(name=SINGLE, composition=own, num_steps=max(1, round(num_steps * share))),
                Arm(name=SINGLE_MATCHED, composition=own),
            ]
            contrasts = [(MULTI, SINGLE), (MULTI, SINGLE_MATCHED), (MULTI, BASELINE)]
        rows.append(
            DesignRow(
                name=f"observation/{target}",
                group="in_domain" if target in pool.sources else "out_of_domain",
                target=target,
                sources=pool.sources,
                arms=tuple(arms),
                contrasts=tuple(contrasts),
                published=published_arms("observation", target),
            )
        )
    return rows
