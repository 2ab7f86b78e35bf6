"""From finished fine-tunes to the tables: accuracies of arms, contrasts, and what there is to search for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.phantom.questions import SINGLE
from search.bench.phantom.arms import ARMS
from search.bench.phantom.plan import BASELINE, EvidencePlan
from search.statistics.intervals import Interval
from search.statistics.ties import index_of_largest

RELATED: Final = "related"

Cube = NDArray[np.float64]  # accuracies in per cent: [targets, bases, seeds]
Results = Sequence[Mapping[str, Any]]
Composition = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmContrast:
    """Mean difference of two arms in points, over targets, bases and seeds.

    Attributes:
        first: an arm.
        second: the arm subtracted from it.
        ability: of the targets; ``none`` are the single-image ones.
        difference: first minus second.
        interval: 95 %, see `crossed_interval`.
        num_positive: targets on which the mean difference is above zero.
        num_targets: targets in all.
    """

    first: str
    second: str
    ability: str
    difference: float
    interval: Interval
    num_positive: int
    num_targets: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TableTarget:
    """What the compositions of the table reach on one target, in per cent.

    The best composition and the best single source are picked from the table, trained again with fresh seeds and asked
    other questions; every accuracy is from those, so that a lucky pick does not count.
    """

    target: str
    baseline: float
    best_single: float
    all_data: float
    best: float
    best_sources: Composition

    @property
    def margin(self) -> float:
        """Points by which the best composition beats both all data and the best single source."""
        return self.best - max(self.all_data, self.best_single)


def bases_of(results: Results, *arms: str) -> list[str]:
    """The bases on which all of the arms were trained, in the order of the results."""
    found = {(result["arm"], result["base"]): None for result in results}
    return [base for base in dict.fromkeys(base for _, base in found) if all((arm, base) in found for arm in arms)]


def accuracy_cube(results: Results, targets: Sequence[str], arm: str, bases: Sequence[str]) -> Cube:
    """Accuracies of an arm: [targets, bases, seeds]; an arm without training has one seed.

    Args:
        results: of the arms' trials.
        targets: full names of the evaluation sets.
        arm: name of the arm.
        bases: which ones.

    Raises:
        KeyError: a trial is missing.
    """
    found: dict[tuple[str, str, int], float] = {}
    for result in results:
        if result["arm"] == arm:
            for target, correct in result["correct"].items():
                found[target, result["base"], result["seed"]] = 100.0 * float(np.mean(correct))
    seeds = sorted({seed for _, _, seed in found})
    return np.array([[[found[target, base, seed] for seed in seeds] for base in bases] for target in targets])


def arm_contrast(results: Results, plan: EvidencePlan, first: str, second: str, ability: str = SINGLE) -> ArmContrast:
    """Compare two arms on the targets of one ability."""
    targets = ability_targets(plan, ability)
    bases = bases_of(results, first, second)
    differences = accuracy_cube(results, targets, first, bases) - accuracy_cube(results, targets, second, bases)
    return ArmContrast(
        first=first,
        second=second,
        ability=ability,
        difference=float(differences.mean()),
        interval=crossed_interval(differences),
        num_positive=int((differences.mean(axis=(1, 2)) > 0).sum()),
        num_targets=len(targets),
    )


def ability_targets(plan: EvidencePlan, ability: str) -> list[str]:
    """Names of the evaluation sets of one ability."""
    return [target if ability == SINGLE else f"{target}-{ability}" for target in plan.targets]


def crossed_interval(values: Cube) -> Interval:
    """95 % interval of the mean when targets and bases are both samples, crossed.

    The variance of the mean is the variance of the target means over their number plus that of the base means over
    theirs; the residual counts in both, which errs towards caution (Owen, Ann. Appl. Statist. 1, 2007). Three bases are
    too few to resample: the quantile is Student's t with Satterthwaite's degrees of freedom (Biometrics 2, 1946).
    Fine-tune seeds draw other sources for every target and are part of the residual.

    Args:
        values: [targets, bases, seeds].
    """
    from scipy.stats import t as student

    parts = []
    for axes in ((1, 2), (0, 2)):
        means = values.mean(axis=axes)
        if len(means) > 1:
            parts.append((float(means.var(ddof=1)) / len(means), len(means) - 1))
    variance = sum(part for part, _ in parts)
    middle = float(values.mean())
    if variance == 0:
        return Interval(middle, middle)
    freedom = variance**2 / sum(part**2 / df for part, df in parts)
    half = float(student.ppf(0.975, freedom)) * variance**0.5
    return Interval(middle - half, middle + half)


def arm_contrasts(results: Results, plan: EvidencePlan) -> list[ArmContrast]:
    """The contrasts that the corpus must show: transfer, every element's part, and the abilities' gain."""
    contrasts = [
        arm_contrast(results, plan, RELATED, other) for other in (BASELINE, *ARMS[1:]) if bases_of(results, other)
    ]
    for ability in plan.abilities:
        contrasts += [arm_contrast(results, plan, RELATED, other, ability) for other in (BASELINE, "control")]
    return contrasts


def pick_from_table(results: Results, plan: EvidencePlan) -> dict[str, tuple[Composition, Composition]]:
    """For every target the best composition and the best single source, by mean accuracy over the table's seeds."""
    picks: dict[str, tuple[Composition, Composition]] = {}
    for target in plan.table_targets:
        accuracies = _by_composition(results, target)
        singles: dict[Composition, float] = {
            sources: value for sources, value in accuracies.items() if len(sources) == 1
        }
        picks[target] = (_best(accuracies), _best(singles))
    return picks


def _best(accuracies: Mapping[Composition, float]) -> Composition:
    return list(accuracies)[index_of_largest(list(accuracies.values()))]


def table_summary(table: Results, confirmed: Results, plan: EvidencePlan) -> list[TableTarget]:
    """What there is to search for, one entry a target.

    Args:
        table: every composition, on which the picks are made.
        confirmed: the picks and all data on fresh seeds, from which every accuracy is taken.
        plan: names of sources and targets.
    """
    baseline = next(result for result in table if not result["sources"])
    summary = []
    for target, (best, single) in pick_from_table(table, plan).items():
        accuracies = _by_composition(confirmed, target)
        summary.append(
            TableTarget(
                target=target,
                baseline=100.0 * float(np.mean(baseline["correct"][target])),
                best_single=accuracies[single],
                all_data=accuracies[plan.table_sources],
                best=accuracies[best],
                best_sources=best,
            )
        )
    return summary


def _by_composition(results: Results, target: str) -> dict[Composition, float]:
    """Mean accuracy in per cent of every composition over its seeds."""
    values: dict[Composition, list[float]] = {}
    for result in results:
        if result["sources"]:
            values.setdefault(tuple(result["sources"]), []).append(100.0 * float(np.mean(result["correct"][target])))
    return {sources: float(np.mean(accuracies)) for sources, accuracies in values.items()}
