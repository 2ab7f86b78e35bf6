"""The worlds in which honesty is measured, by name: of campaigns, matrices, designs and questions about patients."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from search.bench.honesty.compared_patients import COMPARED, run_compared
from search.bench.honesty.designs import DESIGN_SCENARIOS, run_designs
from search.bench.honesty.few_patients import NUMBERS, PATIENT_SCENARIOS, run_patients
from search.bench.honesty.figures import SCENARIOS as CAMPAIGN_SCENARIOS
from search.bench.honesty.figures import HonestyFigure, Scenario, Workload, run_campaigns
from search.bench.honesty.matrix_figures import MATRIX_SCENARIOS, run_matrices

SCENARIOS: tuple[str, ...] = (
    *CAMPAIGN_SCENARIOS, *MATRIX_SCENARIOS, *PATIENT_SCENARIOS, COMPARED, *DESIGN_SCENARIOS
)  # fmt: skip


def run_scenario(
    name: str, num_campaigns: int, *, seed: int, workload: Workload | None = None, on_event: Callable[[str], None]
) -> list[HonestyFigure]:
    """Run so many campaigns, matrices, designs or sets of questions of one of `SCENARIOS` and measure them."""
    work = workload or Workload()
    workers = work.num_workers
    if name in MATRIX_SCENARIOS:
        return run_matrices(name, num_campaigns, seed=seed, num_workers=workers, on_event=on_event)
    if name in PATIENT_SCENARIOS:
        return run_patients(
            name,
            num_campaigns,
            numbers=work.num_patients or NUMBERS,
            seed=seed,
            num_workers=workers,
            on_event=on_event,
        )
    if name in DESIGN_SCENARIOS:
        return run_designs(name, num_campaigns, seed=seed, num_workers=workers, on_event=on_event)
    if name == COMPARED:
        return run_compared(num_campaigns, seed=seed, on_event=on_event)
    return run_campaigns(cast("Scenario", name), num_campaigns, seed=seed, workload=work, on_event=on_event)
