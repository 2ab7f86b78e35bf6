"""How honest transfer matrices are, as figures with intervals: false discoveries, coverage, power."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Literal

import numpy as np

from search.bench.honesty.figures import HonestyFigure
from search.bench.honesty.matrices import MatrixResult, run_matrix
from search.statistics.verdicts import FALSE_DISCOVERY_RATE

MatrixScenario = Literal["matrix-null", "matrix-signal", "matrix-uneven"]
MATRIX_SCENARIOS: tuple[MatrixScenario, ...] = ("matrix-null", "matrix-signal", "matrix-uneven")
# Nothing transfers and sources differ in their noise, which two repeated ones cannot tell: measured, without an aim.
UNEVEN: MatrixScenario = "matrix-uneven"
# None; that of the digits tables; that between seeds of the phantom's fine-tunes of 80 steps.
SEED_SDS = (0.0, 0.028, 0.107)
# Of the share of false cells: its one-sided 95 % bound may lie so much above the rate because matrices are few.
HIGHEST_BOUND = 0.12


def run_matrices(
    scenario: MatrixScenario, num_matrices: int, *, seed: int, num_workers: int = 1, on_event: Callable[[str], None]
) -> list[HonestyFigure]:
    """Judge so many matrices at each size of training noise and measure them."""
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the workers
    figures: list[HonestyFigure] = []
    with ProcessPoolExecutor(num_workers) as pool:
        for seed_sd in SEED_SDS[-1:] if scenario == UNEVEN else SEED_SDS:
            tasks = [(seed + k, seed_sd, scenario) for k in range(num_matrices)]
            figures += measure_matrices(scenario, seed_sd, list(pool.map(_one, tasks, chunksize=4)))
            on_event(f"{scenario}: {num_matrices} matrices at {100 * seed_sd:g} points of training noise")
    return figures


def _one(task: tuple[int, float, MatrixScenario]) -> MatrixResult:
    seed, seed_sd, scenario = task
    return run_matrix(seed, seed_sd=seed_sd, has_signal=scenario == "matrix-signal", is_uneven=scenario == UNEVEN)


def measure_matrices(scenario: str, seed_sd: float, results: Sequence[MatrixResult]) -> list[HonestyFigure]:
    """The figures of one scenario at one size of training noise.

    Args:
        scenario: its name.
        seed_sd: training noise as a share.
        results: of its matrices.
    """
    noise = f"at {100 * seed_sd:g} points between seeds"
    covered = _mean(
        scenario, f"intervals of cells that hold the truth, {noise}", [r.num_covered / r.num_cells for r in results]
    )
    figures = [_false_discoveries(scenario, noise, [r.false_share for r in results]), covered]
    if any(result.num_helped for result in results):
        shares = [result.num_right / result.num_helped for result in results]
        figures.append(_mean(scenario, f"true cells that are found, {noise}", shares))
    return figures


def _false_discoveries(scenario: str, noise: str, shares: Sequence[float]) -> HonestyFigure:
    from scipy.stats import binomtest

    value = float(np.mean(shares))
    if set(shares) <= {0.0, 1.0}:  # where nothing is true, a matrix is false as a whole or not at all
        found = binomtest(round(sum(shares)), len(shares)).proportion_ci(confidence_level=0.90, method="exact")
        low, high = float(found.low), float(found.high)
    else:
        half = 1.645 * float(np.std(shares, ddof=1)) / len(shares) ** 0.5
        low, high = max(0.0, value - half), min(1.0, value + half)
    return HonestyFigure(
        scenario=scenario,
        figure=f"false share of the cells pointed out, {noise} (upper end: one-sided 95 % bound)",
        value=value,
        ci_low=low,
        ci_high=high,
        num_campaigns=len(shares),
        aim=""
        if scenario == UNEVEN
        else f"<= {100 * FALSE_DISCOVERY_RATE:.0f} %, bound <= {100 * HIGHEST_BOUND:.0f} %",
        is_reached=None if scenario == UNEVEN else value <= FALSE_DISCOVERY_RATE and high <= HIGHEST_BOUND,
    )


def _mean(scenario: str, name: str, shares: Sequence[float]) -> HonestyFigure:
    value = float(np.mean(shares))
    half = 1.96 * float(np.std(shares, ddof=1)) / len(shares) ** 0.5
    return HonestyFigure(
        scenario=scenario, figure=name, value=value, ci_low=max(0.0, value - half), ci_high=min(1.0, value + half),
        num_campaigns=len(shares), aim="", is_reached=None,
    )  # fmt: skip
