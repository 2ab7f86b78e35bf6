"""Designs whose rows share trainings, where no arm is better than another: how often one is claimed to be."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Literal

from search.bench.honesty.figures import LEVEL, HonestyFigure, claims_figure, share_figure
from search.bench.honesty.matrix_figures import SEED_SDS
from search.bench.honesty.world import Campaign, World
from search.designs.judge import compute_design_table
from search.designs.rows import CONTROL, RELATED, Arm, DesignRow, baseline_arm
from search.designs.table import DesignTable
from search.designs.trials import arm_label, design_of
from search.evidence.outcomes import Outcomes
from search.space.composition import Composition
from search.statistics.verdicts import Verdict
from search.study.spec import StudySpec
from search.vocabulary import Stage

DesignScenario = Literal["design-shared-control", "design-shared-training"]
DESIGN_SCENARIOS: tuple[DesignScenario, ...] = ("design-shared-control", "design-shared-training")
NUM_TARGETS, ROWS_OF_TARGET = 4, 4  # as many rows as `design.max_rows` allows, on each of four targets


def run_designs(
    scenario: DesignScenario, num_designs: int, *, seed: int, num_workers: int = 1, on_event: Callable[[str], None]
) -> list[HonestyFigure]:
    """Judge so many designs in which nothing is better than anything, and measure what they claim."""
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the workers
    figures: list[HonestyFigure] = []
    with ProcessPoolExecutor(num_workers) as pool:
        for seed_sd in SEED_SDS[1:]:
            tables = list(pool.map(_one, [(scenario, seed + k, seed_sd) for k in range(num_designs)], chunksize=4))
            noise = f"at {100 * seed_sd:g} points between seeds"
            claimed = [[c for c in table.contrasts if c.is_claim] for table in tables]
            false = [any(c.verdict != Verdict.no_difference_detected for c in contrasts) for contrasts in claimed]
            covered = [c.ci_low <= 0 <= c.ci_high for contrasts in claimed for c in contrasts]
            figures += [
                claims_figure(scenario, f"designs that claim a difference where there is none, {noise}", false),
                share_figure(scenario, f"95 % interval of a claim covers, {noise}", covered, num_designs, (0.93, 1.0)),
            ]
            on_event(f"{scenario}: {num_designs} designs {noise}")
    return figures


def _one(task: tuple[DesignScenario, int, float]) -> DesignTable:
    scenario, seed, seed_sd = task
    return judged_design(scenario, seed, seed_sd=seed_sd)


def judged_design(scenario: DesignScenario, seed: int, *, seed_sd: float) -> DesignTable:
    """The table of one design.

    Args:
        scenario: `design-shared-control`: the rows of a target share its control; `design-shared-training`: all
            targets share their trainings, related and control, each of which moves its answers on all of them alike.
        seed: of everything that is drawn.
        seed_sd: training noise, as a share.
    """
    targets = tuple(f"t{k}" for k in range(NUM_TARGETS))
    is_shared = scenario == "design-shared-training"
    rows = [_row(target, number, is_shared=is_shared) for target in targets for number in range(ROWS_OF_TARGET)]
    world = World(candidates={}, comparators={}, targets=targets, seed_sd=seed_sd)
    campaign, spec = Campaign(world, seed), _spec(targets, seed)
    campaign.run(Stage.baseline, "baseline", "", split="confirm", seed=0, accuracy=LEVEL)
    for row in rows:
        for arm in row.arms:
            for training_seed in design_of(spec).seeds if arm.composition else ():
                (name,) = arm.composition
                label = arm_label(row, arm.name)
                campaign.run(Stage.design, label, name, split="confirm", seed=training_seed, accuracy=LEVEL)
    return compute_design_table(campaign.records, Outcomes(campaign.load), rows, spec)


def _row(target: str, number: int, *, is_shared: bool) -> DesignRow:
    of = "all" if is_shared else target
    related, control = Composition({f"related-{number}-of-{of}": 1}), Composition({f"control-of-{of}": 1})
    return DesignRow(
        name=f"{target}-{number}",
        group="null",
        target=target,
        sources=tuple(related),
        arms=(baseline_arm(), Arm(name=RELATED, composition=related), Arm(name=CONTROL, composition=control)),
        contrasts=((RELATED, CONTROL), (RELATED, "baseline")),
    )


def _spec(targets: tuple[str, ...], seed: int) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "honesty",
            "catalog": "none",
            "targets": targets,
            "space": {"composition": {"sources": ["a"], "num_samples": [1], "budget": 1}},
            "design": {"kind": "controlled"},
            "seed": 1_000 + seed,  # none of `confirm.seeds`
        }
    )
