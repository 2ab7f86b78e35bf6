"""How much a few of the target's own rows are worth, and how many samples of others."""

from __future__ import annotations

from collections.abc import Sequence

from search.designs.rows import BASELINE, CONTROL, RELATED, Arm, DesignRow, SubsetPool, baseline_arm
from search.space.composition import Composition

TARGET_ONLY = "target_only"


def data_efficiency_rows(
    pool: SubsetPool, targets: Sequence[str], *, sizes: Sequence[int], shots: Sequence[int]
) -> list[DesignRow]:
    """Related against unrelated data in growing amounts, without target data and beside some (Med-MAT, 5.1 and 5.2)."""
    rows = []
    for target in targets:
        rows += [_size_row(pool, target, size, 0) for size in sizes]
        if target in pool.sources:
            rows += [_size_row(pool, target, max(sizes), num_own) for num_own in shots]
    return rows


def few_shot_rows(
    pool: SubsetPool, targets: Sequence[str], *, num_samples: int, shots: Sequence[int]
) -> list[DesignRow]:
    """A few samples of the target alone, and beside `num_samples` of related subsets.

    Shots are trained on; the paper's figures with the same number of shots were made with examples in the prompt as
    far as it says, so none stand beside these.
    """
    return [_size_row(pool, target, num_samples, k, group="few_shot") for target in targets for k in (0, *shots)]


def _size_row(pool: SubsetPool, target: str, size: int, num_own: int, *, group: str = "data_efficiency") -> DesignRow:
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
