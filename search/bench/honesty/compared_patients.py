"""Questions that compare two patients each: what intervals hold that join them, and that take each pair as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from datasets_spec.check.words_alone import cluster_interval
from datasets_spec.store.clusters import row_clusters
from search.bench.honesty.figures import LEVEL, HonestyFigure, share_figure
from search.bench.honesty.world import PATIENT_SHARE
from search.statistics.bootstrap import mean_accuracy

COMPARED: Final = "compared-patients"
# All pairs of 20 patients are 190 questions; all pairs within twelve fives are 120, of twelve clusters.
LAYOUTS: Final = {"all with all, 20 patients": (1, 20), "within fives, 60 patients": (12, 5)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Whether intervals of one set of questions hold its true accuracy.

    Attributes:
        check: that of `recombine data check`, by `row_clusters`.
        study: that of a study.
        check_by_pair: that of the check if each pair were a patient of its own.
        study_by_pair: the same of a study.
    """

    check: bool
    study: bool
    check_by_pair: bool
    study_by_pair: bool


def run_compared(num_sets: int, *, seed: int, on_event: Callable[[str], None]) -> list[HonestyFigure]:
    """Draw so many sets of questions in each layout, answered by one fixed model, and count what intervals hold."""
    figures: list[HonestyFigure] = []
    for layout, (num_groups, size) in LAYOUTS.items():
        held = [ask(num_groups, size, seed + k) for k in range(num_sets)]
        figures += _measured(layout, held)
        on_event(f"{COMPARED}: {num_sets} sets of questions, {layout}")
    return figures


def ask(num_groups: int, size: int, seed: int) -> Held:
    """Ask about all pairs of patients within each group.

    Half of what makes a question hard, as a normal number, is its two patients', a quarter each; so the expected
    accuracy is `LEVEL` exactly.

    Args:
        num_groups: of patients.
        size: patients of a group.
        seed: of everything that is drawn.
    """
    from scipy.special import ndtri

    rng = np.random.default_rng(seed)
    pairs = list(_pairs(num_groups, size))
    of_patient = rng.normal(size=num_groups * size)
    shared = of_patient[pairs].sum(axis=1) * (PATIENT_SHARE / 2) ** 0.5
    right = (shared + (1 - PATIENT_SHARE) ** 0.5 * rng.normal(size=len(pairs)) < ndtri(LEVEL)).astype(np.float64)
    rows = [{"group": f"{a}+{b}", "image_hashes": [f"{a}/{b}", f"{b}/{a}"]} for a, b in pairs]
    by_cluster, by_pair = [str(number) for number in row_clusters(rows)], [str(pair) for pair in pairs]

    def holds(interval: tuple[float, float]) -> bool:
        return interval[0] <= LEVEL <= interval[1]

    def of_study(groups: Sequence[str]) -> tuple[float, float]:
        return mean_accuracy([right[None]], groups=[groups], seed=seed, is_trained=False, num_resamples=2_000)[1]

    values = right.tolist()
    return Held(
        check=holds(cluster_interval(values, by_cluster)),
        study=holds(of_study(by_cluster)),
        check_by_pair=holds(cluster_interval(values, by_pair)),
        study_by_pair=holds(of_study(by_pair)),
    )


def _pairs(num_groups: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, num_groups * size, size):
        yield from combinations(range(start, start + size), 2)


def _measured(layout: str, held: Sequence[Held]) -> list[HonestyFigure]:
    n = len(held)
    return [
        share_figure(COMPARED, f"{layout}: 95 % interval of a check holds", [h.check for h in held], n, (0.93, 1.0)),
        share_figure(COMPARED, f"{layout}: that of a study", [h.study for h in held], n, (0.93, 1.0)),
        share_figure(COMPARED, f"{layout}: of a check, each pair a patient", [h.check_by_pair for h in held], n, None),
        share_figure(COMPARED, f"{layout}: of a study, each pair a patient", [h.study_by_pair for h in held], n, None),
    ]
