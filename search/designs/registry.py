"""From a study file with a `design` section to the design's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from datasets_spec.errors import UserError
from search.designs.kinds.abilities import ability_rows
from search.designs.kinds.controlled import controlled_rows, three_source_rows
from search.designs.kinds.disruption import disruption_rows
from search.designs.kinds.few_shot import data_efficiency_rows, few_shot_rows
from search.designs.kinds.observation import observation_rows
from search.designs.kinds.zero_overlap import zero_overlap_rows
from search.designs.rows import DesignRow, SubsetPool
from search.study.sections.design import DesignSection
from search.study.study import KeyedStudy


def build_rows(study: KeyedStudy, num_rows: Mapping[str, int]) -> list[DesignRow]:
    """Enumerate the rows of a study's design.

    Args:
        study: with a design section.
        num_rows: training rows by subset.

    Raises:
        UserError: the study has no design, or the sources allow no row of it.
    """
    section = study.spec.design
    if section is None:
        raise UserError(f"{study.path}: the study has no `design` section", hint="`recombine design list` shows kinds")
    pool = SubsetPool(
        keys=study.keys,
        rows=num_rows,
        sources=study.spec.space.composition.allowed,
        controls=study.spec.control_sources,
        task_map=study.task_map,
    )
    rows = [row for row in map(_without_equal_arms, _rows(study, section, pool)) if row.contrasts]
    if not rows:
        raise UserError(
            f"{study.path}: the sources allow no row of the design '{section.kind}' for these targets",
            hint="`recombine data relations TARGET` shows what each subset shares with a target",
        )
    return rows


def _without_equal_arms(row: DesignRow) -> DesignRow:
    """Drop contrasts of an arm with itself: where no source is unrelated, `all` is `related`."""

    def training(name: str) -> tuple[object, ...]:
        arm = row.arm(name)
        return arm.composition, arm.num_steps

    return replace(row, contrasts=tuple((a, b) for a, b in row.contrasts if training(a) != training(b)))


def _rows(study: KeyedStudy, section: DesignSection, pool: SubsetPool) -> list[DesignRow]:
    spec = study.spec
    num_samples = section.num_samples or max(spec.space.composition.grid, default=0)
    budget = section.budget or spec.space.composition.budget
    sizes = section.sizes or spec.space.composition.grid or (num_samples,)
    targets = spec.objective_sets  # the objective says whether targets, abilities or both are meant
    if section.kind == "controlled":
        return controlled_rows(pool, targets, section, num_samples=num_samples, seed=spec.seed)
    if section.kind == "three_sources":
        return three_source_rows(pool, targets, section, num_samples=num_samples, seed=spec.seed)
    if section.kind == "disruption":
        return disruption_rows(pool, targets, budget=budget)
    if section.kind == "zero_overlap":
        return zero_overlap_rows(pool, targets, budget=budget)
    if section.kind == "observation":
        return observation_rows(pool, targets, num_samples=num_samples, num_steps=spec.recipe.num_steps)
    if section.kind == "data_efficiency":
        return data_efficiency_rows(pool, targets, sizes=sizes, shots=section.shots)
    if section.kind == "few_shot":
        return few_shot_rows(pool, targets, num_samples=num_samples, shots=section.shots)
    return ability_rows(pool, spec.abilities, budget=budget)
