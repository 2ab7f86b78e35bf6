"""How honest campaigns are, as figures with intervals: coverage, bias, false claims, power."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from search.bench.honesty.campaign import CampaignResult, Protocol, run_campaign
from search.bench.honesty.world import World
from search.statistics.verdicts import Verdict

Scenario = Literal["signal", "null", "power", "patients"]
SCENARIOS: tuple[Scenario, ...] = ("signal", "null", "power", "patients")
NUM_CANDIDATES = 100
# The spread of true accuracies between compositions of the digits tables of the facts, 3 points around the mean.
CANDIDATE_SD = 0.03
LEVEL = 0.6
PILOT = 40  # campaigns that tell the detectable difference before power is measured at it


@dataclass(frozen=True, kw_only=True, slots=True)
class HonestyFigure:
    """A measured figure with its interval and, where there is one, what it has to reach."""

    scenario: str
    figure: str
    value: float
    ci_low: float
    ci_high: float
    num_campaigns: int
    aim: str
    is_reached: bool | None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def world_of(scenario: Scenario, seed: int, *, difference: float = 0.0) -> World:
    """The world of one campaign.

    Args:
        scenario: `null`: every subset, and so every composition, is equally good, and training adds nothing;
            `power`: candidates are equal and better than every comparator by `difference`; `signal`: candidates
            differ; `patients`: the same with five questions a patient.
        seed: of the candidates' accuracies.
        difference: of the power scenario, as a share.
    """
    names = ("control", "baseline", "all-data", "best-single", "random-same-size")
    if scenario == "null":
        return World(
            candidates={f"c{k}": LEVEL for k in range(NUM_CANDIDATES)}, comparators=dict.fromkeys(names, LEVEL)
        )
    if scenario == "power":
        candidates = {f"c{k}": LEVEL for k in range(NUM_CANDIDATES)}
        return World(candidates=candidates, comparators=dict.fromkeys(names, LEVEL - difference))
    rng = np.random.default_rng([seed, 7])
    candidates = {f"c{k}": float(a) for k, a in enumerate(rng.normal(LEVEL, CANDIDATE_SD, NUM_CANDIDATES))}
    worths = dict(zip(names, (LEVEL - 0.05, LEVEL - 0.1, LEVEL, LEVEL + 0.02, LEVEL - 0.02), strict=True))
    world = World(candidates=candidates, comparators=worths)
    return replace(world, patient_size=5) if scenario == "patients" else world


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """How campaigns are run.

    Attributes:
        protocol: of their confirmation.
        difference: of the power scenario, as a share; None takes what the reports of a few campaigns state.
        num_workers: processes.
        num_patients: of the scenarios about patients; none takes theirs.
    """

    protocol: Protocol = field(default_factory=Protocol)
    difference: float | None = None
    num_workers: int = 1
    num_patients: tuple[int, ...] = ()


def run_campaigns(
    scenario: Scenario,
    num_campaigns: int,
    *,
    seed: int,
    workload: Workload | None = None,
    on_event: Callable[[str], None],
) -> list[HonestyFigure]:
    """Run the campaigns of a scenario and measure them."""
    work = workload or Workload()
    if scenario == "power":
        if work.difference is None:
            pilot = _run("power", PILOT, seed + 1_000_000, replace(work, difference=0.0), on_event)
            work = replace(work, difference=float(np.mean([result.detectable["control"] for result in pilot])))
        on_event(f"power: at a difference of {100 * (work.difference or 0.0):.1f} points")
    return measure(scenario, _run(scenario, num_campaigns, seed, work, on_event))


def _run(
    scenario: Scenario, num: int, seed: int, work: Workload, on_event: Callable[[str], None]
) -> list[CampaignResult]:
    tasks = [(scenario, seed + k, work.difference or 0.0, work.protocol) for k in range(num)]
    results: list[CampaignResult] = []
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the workers
    with ProcessPoolExecutor(work.num_workers) as pool:
        for number, result in enumerate(pool.map(_one, tasks, chunksize=2), start=1):
            results.append(result)
            if number % 50 == 0 or number == num:
                on_event(f"{scenario}: {number} of {num} campaigns")
    return results


def _one(task: tuple[Scenario, int, float, Protocol]) -> CampaignResult:
    scenario, seed, difference, protocol = task
    return run_campaign(world_of(scenario, seed, difference=difference), seed, protocol)


def measure(scenario: str, results: Sequence[CampaignResult]) -> list[HonestyFigure]:
    """The figures of one scenario (aims: issue 7)."""
    n = len(results)
    sealed = [r.sealed_ci[0] <= r.truth <= r.sealed_ci[1] for r in results]
    covered = [inside for r in results for inside in r.covered.values()]
    claims = [any(word != Verdict.no_difference_detected for word in r.claims.values()) for r in results]
    figures = [
        share_figure(scenario, "sealed 95 % interval covers the truth", sealed, n, (0.93, 0.97)),
        share_figure(scenario, "95 % interval of a difference covers it", covered, n, (0.93, 0.99)),
        share_figure(
            scenario,
            "simultaneous 95 % intervals of a campaign all cover",
            [r.covered_together for r in results],
            n,
            (0.93, 1.0),
        ),
        _mean(scenario, "naive best of the search - its truth, points", [r.naive - r.search_truth for r in results]),
        _mean(
            scenario,
            "the same after its winner's curse, points",
            [r.search_expected - r.search_truth for r in results],
        ),
        _mean(scenario, "sealed - truth, points", [r.sealed - r.truth for r in results]),
        _mean(scenario, "confirm - sealed, as measured, points", [r.confirm - r.sealed for r in results]),
        _mean(
            scenario, "confirm - sealed, cross-fitted, points", [r.confirm_expected - r.sealed for r in results], 0.5
        ),
    ]
    figures.append(_number(scenario, "fine-tunes of the confirmation", [r.num_trained for r in results]))
    if scenario == "signal":
        figures.append(_mean(scenario, "worth of what was chosen, points", [r.truth for r in results]))
    if scenario == "null":
        figures.append(claims_figure(scenario, "campaigns that claim a difference where there is none", claims))
        recommended = [r.recommends for r in results]
        figures.append(
            claims_figure(scenario, "campaigns that say what to train on where nothing is better", recommended)
        )
    if scenario == "power":
        found = [r.claims["control"] == Verdict.better for r in results]
        figures.append(share_figure(scenario, "power at the stated difference (control)", found, n, (0.75, 1.0)))
        every = [word == Verdict.better for r in results for word in r.claims.values()]
        figures.append(share_figure(scenario, "the same of all comparators", every, n, (0.75, 1.0)))
    return figures


def share_figure(
    scenario: str, name: str, hits: Sequence[bool], n: int, aim: tuple[float, float] | None
) -> HonestyFigure:
    """A share of what was looked at in `n` campaigns, that should lie within `aim`; None for what is only told."""
    from search.statistics.intervals import wilson_interval

    value = float(np.mean(hits))
    # Several comparisons of one campaign are not independent: the interval is that of the campaigns.
    low, high = wilson_interval(round(value * n), n)
    text = ""
    if aim is not None:
        text = f"{100 * aim[0]:.0f} to {100 * aim[1]:.0f} %" if aim[1] < 1 else f">= {100 * aim[0]:.0f} %"
    return HonestyFigure(
        scenario=scenario, figure=name, value=value, ci_low=low, ci_high=high, num_campaigns=n, aim=text,
        is_reached=None if aim is None else aim[0] <= value <= aim[1],
    )  # fmt: skip


def claims_figure(scenario: str, name: str, claims: Sequence[bool]) -> HonestyFigure:
    """A share of campaigns that claim what is false, with the bound that it must not exceed."""
    from scipy.stats import binomtest

    found = binomtest(sum(claims), len(claims)).proportion_ci(confidence_level=0.90, method="exact")
    return HonestyFigure(
        scenario=scenario,
        figure=f"{name} (upper end: one-sided 95 % bound)",
        value=float(np.mean(claims)),
        ci_low=float(found.low),
        ci_high=float(found.high),
        num_campaigns=len(claims),
        aim="bound <= 7 %",
        is_reached=float(found.high) <= 0.07,
    )


def _number(scenario: str, name: str, values: Sequence[int]) -> HonestyFigure:
    """A number of trials; told, with no aim of its own."""
    return _mean(scenario, name, [value / 100 for value in values])


def _mean(scenario: str, name: str, values: Sequence[float], aim: float | None = None) -> HonestyFigure:
    points = 100 * np.asarray(values)
    value, error = float(points.mean()), float(points.std(ddof=1) / len(points) ** 0.5)
    low, high = value - 1.96 * error, value + 1.96 * error
    return HonestyFigure(
        scenario=scenario, figure=name, value=value, ci_low=low, ci_high=high, num_campaigns=len(points),
        aim="" if aim is None else f"within {aim} of 0, 0 in the interval",
        is_reached=None if aim is None else abs(value) <= aim and low <= 0 <= high,
    )  # fmt: skip
