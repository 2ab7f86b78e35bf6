"""Designs about amounts: one task or all, how many samples, and a few of the target's own."""

from __future__ import annotations

from collections.abc import Sequence

from search.designs.published.lookup import published_arms
from search.designs.rows import BASELINE, CONTROL, RELATED, Arm, DesignRow, Pool, baseline_arm
from search.space.composition import Composition

SINGLE, SINGLE_MATCHED, MULTI = "single", "single_same_steps", "multi"
TARGET_ONLY = "target_only"


def observation_rows(pool: Pool, targets: Sequence[str], *, num_samples: int, num_steps: int) -> list[DesignRow]:
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


def data_efficiency_rows(
    pool: Pool, targets: Sequence[str], *, sizes: Sequence[int], shots: Sequence[int]
) -> list[DesignRow]:
    """Related against unrelated data in growing amounts, without target data and beside some (Med-MAT, 5.1 and 5.2)."""
    rows = []
    for target in targets:
        rows += [_size_row(pool, target, size, 0) for size in sizes]
        if target in pool.sources:
            rows += [_size_row(pool, target, max(sizes), num_own) for num_own in shots]
    return rows


def few_shot_rows(pool: Pool, targets: Sequence[str], *, num_samples: int, shots: Sequence[int]) -> list[DesignRow]:
    """A few samples of the target alone, and beside `num_samples` of related subsets.

    Shots are trained on; the paper's figures with the same number of shots were made with examples in the prompt as
    far as it says, so none stand beside these.
    """
    return [_size_row(pool, target, num_samples, k, group="few_shot") for target in targets for k in (0, *shots)]


def _size_row(pool: Pool, target: str, size: int, num_own: int, *, group: str = "data_efficiency") -> DesignRow:
    own = {target: min(num_own, pool.rows[target])} if num_own else {}
    arms = [baseline_arm()]
    if own:
        arms.append(Arm(name=TARGET_ONLY, composition=Composition(own)))
    for name, subsets in ((RELATED, pool.related(target)), (CONTROL, pool.unrelated(target))):
        companion = pool.spread(subsets, size)
        if companion:
            arms.append(Arm(name=name, composition=Composition({**companion, **own})))
    names = {arm.name for arm in arms}
    contrasts = [(RELATED, CONTROL), (RELATED, TARGET_ONLY), (RELATED, BASELINE)]
    return DesignRow(
        name=f"{group}/{target}/{size}+{num_own}",
        group=f"{size} companion samples, {num_own} of the target",
        target=target,
        sources=tuple(pool.related(target)),
        arms=tuple(arms),
        contrasts=tuple(pair for pair in contrasts if set(pair) <= names),
    )
