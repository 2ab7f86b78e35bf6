"""The trials of a design: every arm of every row with every seed; equal trials are trained once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from search.designs.rows import Arm, DesignRow
from search.engine.trial_factory import PlannedTrial, TrialFactory
from search.study.sections.design import DesignSection
from search.study.spec import StudySpec
from search.vocabulary import Stage


def design_of(spec: StudySpec) -> DesignSection:
    """The design section of a study that has one."""
    if spec.design is None:
        raise ValueError("the study has no design")
    return spec.design


def plan_design(
    rows: Sequence[DesignRow], section: DesignSection, spec: StudySpec, factory: TrialFactory
) -> list[PlannedTrial]:
    """Return the trials of a design.

    A composition that serves several rows is scored on all of their targets at once, so that it is trained and read
    once.
    """
    targets: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in rows:
        for arm in row.arms:
            targets[training_of(arm, spec)].add(row.target)
    planned = []
    for row in rows:
        for arm in row.arms:
            if not arm.composition:
                continue  # the baseline is scored once, for every study
            recipe = spec.recipe.model_copy(update={"num_steps": num_steps_of(arm, spec)})
            eval_sets = [name for name in spec.eval_sets if name in targets[training_of(arm, spec)]]
            planned += [
                PlannedTrial(
                    spec=factory.spec(arm.composition, recipe, seed, (section.split,), eval_sets=eval_sets),
                    stage=Stage.design,
                    arm=arm_label(row, arm.name),
                    strategy=section.kind,
                    reason=f"{arm.name} of {row.name}",
                )
                for seed in section.seeds
            ]
    return planned


def arm_label(row: DesignRow, arm: str) -> str:
    """How an arm of a row is called in the ledger."""
    return f"{row.name}:{arm}"


def num_steps_of(arm: Arm, spec: StudySpec) -> int:
    """Optimizer steps of an arm."""
    return spec.recipe.num_steps if arm.num_steps is None else arm.num_steps


def training_of(arm: Arm, spec: StudySpec) -> tuple[str, int]:
    """What is equal for arms that are one training."""
    return arm.composition.identity, num_steps_of(arm, spec)


def unmatched_note(row: DesignRow, arm: Arm) -> str | None:
    """What keeps the claim's two arms from being compared like with like; None for other arms and when they match."""
    first, second = row.contrasts[0]
    if arm.name != second:
        return None
    mine, theirs = row.arm(first).composition.total, arm.composition.total
    if mine == theirs:
        return None
    return f"{first} has {mine} samples and {second} {theirs}: not matched, which the table says"
