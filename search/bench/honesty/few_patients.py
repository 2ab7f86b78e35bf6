"""Campaigns on evaluation sets of few patients: whether intervals over them hold what they say."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Literal

from search.bench.honesty.campaign import CampaignResult, run_campaign
from search.bench.honesty.figures import HonestyFigure, claims_figure, share_figure, world_of
from search.bench.honesty.world import World
from search.statistics.verdicts import Verdict

PatientScenario = Literal["few-patients", "uneven-patients", "two-kinds-of-patients"]
PATIENT_SCENARIOS: tuple[PatientScenario, ...] = ("few-patients", "uneven-patients", "two-kinds-of-patients")
# Of the target, in each split; they share 150 questions of `confirm` and 300 of `sealed`.
NUMBERS = (3, 5, 8, 12, 20, 40)
# A first patient with as many questions as sqrt(1 / number) of all: half of them where there are four.
SKEW = 2.0
NUM_CANDIDATES = 6  # the search is not what is measured


def patient_world(scenario: PatientScenario, num_patients: int, seed: int, *, has_signal: bool) -> World:
    """One target whose questions come from few patients, who also tell what a composition finds hard.

    Args:
        scenario: whether patients have as many questions each, and differ by degrees.
        num_patients: of the target in each split.
        seed: of the candidates' accuracies.
        has_signal: whether candidates differ, and comparators are worth less; else all are worth the same.
    """
    some = world_of("signal" if has_signal else "null", seed)
    return World(
        candidates=dict(list(some.candidates.items())[:NUM_CANDIDATES]),
        comparators=some.comparators,
        targets=("target",),
        num_patients=num_patients,
        patient_skew=SKEW if scenario == "uneven-patients" else 1.0,
        is_graded=scenario != "two-kinds-of-patients",
    )


def run_patients(
    scenario: PatientScenario,
    num_campaigns: int,
    *,
    numbers: Sequence[int] = NUMBERS,
    seed: int,
    num_workers: int = 1,
    on_event: Callable[[str], None],
) -> list[HonestyFigure]:
    """Run so many campaigns with a signal and as many without for each number of patients, and measure them."""
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the workers
    figures: list[HonestyFigure] = []
    with ProcessPoolExecutor(num_workers) as pool:
        for number in numbers:
            tasks = [(scenario, number, seed + k, signal) for signal in (True, False) for k in range(num_campaigns)]
            results = list(pool.map(_one, tasks, chunksize=4))
            figures += measure_patients(scenario, number, results[:num_campaigns], results[num_campaigns:])
            on_event(f"{scenario}: 2 x {num_campaigns} campaigns with {number} patients")
    return figures


def _one(task: tuple[PatientScenario, int, int, bool]) -> CampaignResult:
    scenario, number, seed, has_signal = task
    return run_campaign(patient_world(scenario, number, seed, has_signal=has_signal), seed)


def measure_patients(
    scenario: str, number: int, signal: Sequence[CampaignResult], null: Sequence[CampaignResult]
) -> list[HonestyFigure]:
    """The figures of one number of patients.

    Args:
        scenario: its name.
        number: of patients.
        signal: campaigns in which compositions differ.
        null: campaigns in which nothing is better than anything.
    """
    n, of = len(signal), f"{number} patients: "
    sealed = [r.sealed_ci[0] <= r.truth <= r.sealed_ci[1] for r in signal]
    covered = [inside for r in signal for inside in r.covered.values()]
    together = [r.covered_together for r in signal]
    claims = [any(word != Verdict.no_difference_detected for word in r.claims.values()) for r in null]
    recommended = [r.recommends for r in null]
    return [
        share_figure(scenario, of + "sealed 95 % interval covers the truth", sealed, n, (0.93, 1.0)),
        share_figure(scenario, of + "95 % interval of a difference covers it", covered, n, (0.93, 1.0)),
        share_figure(scenario, of + "simultaneous 95 % intervals all cover", together, n, (0.93, 1.0)),
        claims_figure(scenario, of + "campaigns that claim a difference where there is none", claims),
        claims_figure(scenario, of + "campaigns that say what to train on where nothing is better", recommended),
    ]
