"""From picks to figures: regret with intervals, nearness to the oracle, trials to a given regret, contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search.bench.known_truth.shipped import cluster_name
from search.bench.replay.coverage import Group, pooled
from search.bench.replay.replay import Pick
from search.statistics.intervals import Interval

Floats = NDArray[np.float64]
NUM_DRAWS: Final = 4000
ALL_TABLES: Final = "all"
EPSILONS: Final = (2.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverageFigure:
    """Of the 90 % intervals of one group.

    Attributes:
        share: that held the truth.
        ci_low: of the 95 % interval of the share; clusters are (table, target).
        ci_high: of the same.
        num_intervals: in all picks.
    """

    share: float
    ci_low: float
    ci_high: float
    num_intervals: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RegretFigure:
    """One strategy on one table (or all) after so many trials; regrets in points.

    Attributes:
        table: name, or "all".
        strategy: name.
        trials: how many.
        regret_mean: mean over targets and repetitions.
        regret_interval: 95 %, clusters are (table, target).
        p_within_1: share of picks at most 1 point below the oracle.
        full_information_regret: of the same kind of pick, had every candidate been trained once.
        interval_coverage: of 90 % intervals of untried compositions; None without intervals.
        coverages: of 90 % intervals by what they are about; empty without intervals.
        suggestion_s: mean seconds of a suggestion.
    """

    table: str
    strategy: str
    trials: int
    regret_mean: float
    regret_interval: Interval
    p_within_1: float
    full_information_regret: float
    interval_coverage: float | None
    coverages: Mapping[Group, CoverageFigure]
    suggestion_s: float

    def as_json(self) -> dict[str, Any]:
        """The fields of a line of `recombine bench search --table ... --json`."""
        return {
            "table": self.table,
            "strategy": self.strategy,
            "trials": self.trials,
            "regret_mean": self.regret_mean,
            "regret_ci_low": self.regret_interval.low,
            "regret_ci_high": self.regret_interval.high,
            "p_within_1": self.p_within_1,
            "full_information_regret": self.full_information_regret,
            "interval_coverage": self.interval_coverage,
            "coverage": {group.value: asdict(figure) for group, figure in self.coverages.items()},
            "suggestion_s": self.suggestion_s,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class RegretContrast:
    """How much less regret one strategy has than another, each after its own number of trials."""

    first: str
    first_trials: int
    second: str
    second_trials: int
    difference: float
    interval: Interval


FullInformation = dict[tuple[str, str, int], float]  # (table, strategy, target) -> regret


def summarise_regrets(picks: Sequence[Pick], full: FullInformation) -> list[RegretFigure]:
    """Figures of every table, strategy and number of trials, then of all tables together."""
    tables = list(dict.fromkeys(pick.table for pick in picks))
    figures = []
    for table in [*tables, ALL_TABLES] if len(tables) > 1 else tables:
        chosen = [pick for pick in picks if table in (pick.table, ALL_TABLES)]
        for strategy, trials in dict.fromkeys((pick.strategy, pick.trials) for pick in chosen):
            some = [pick for pick in chosen if (pick.strategy, pick.trials) == (strategy, trials)]
            figures.append(_figure(table, strategy, trials, some, full))
    return figures


def _figure(table: str, strategy: str, trials: int, picks: Sequence[Pick], full: FullInformation) -> RegretFigure:
    clusters = cluster_means(picks)
    return RegretFigure(
        table=table,
        strategy=strategy,
        trials=trials,
        regret_mean=float(np.mean(list(clusters.values()))),
        regret_interval=target_interval(np.array(list(clusters.values()))),
        p_within_1=float(np.mean([pick.regret <= 1.0 for pick in picks])),
        full_information_regret=float(
            np.mean([full[t, strategy, target] for t, target in dict.fromkeys((p.table, p.target) for p in picks)])
        ),
        interval_coverage=untried_share(picks),
        coverages={group: figure for group in Group if (figure := coverage_figure(picks, group)) is not None},
        suggestion_s=float(np.mean([pick.suggestion_s for pick in picks])),
    )


def untried_share(picks: Sequence[Pick]) -> float | None:
    """Coverage of untried compositions, of tried and of other sizes."""
    both = (Group.inside, Group.outside)
    return pooled(pick.coverages[group] for pick in picks if pick.coverages for group in both).share


def coverage_figure(picks: Sequence[Pick], group: Group) -> CoverageFigure | None:
    """Coverage of a group with the interval that targets leave; None without intervals."""
    clusters: dict[tuple[str, int], list[Pick]] = {}
    for pick in picks:
        if pick.coverages and pick.coverages[group].num_intervals:
            clusters.setdefault((cluster_name(pick.table), pick.target), []).append(pick)
    if not clusters:
        return None
    sums = [pooled(pick.coverages[group] for pick in some if pick.coverages) for some in clusters.values()]
    counts = np.array([(one.num_covered, one.num_intervals) for one in sums], dtype=np.float64)
    drawn = counts[np.random.default_rng(0).integers(len(counts), size=(NUM_DRAWS, len(counts)))].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    share = float(counts[:, 0].sum() / counts[:, 1].sum())
    return CoverageFigure(share=share, ci_low=float(low), ci_high=float(high), num_intervals=int(counts[:, 1].sum()))


def cluster_means(picks: Sequence[Pick]) -> dict[tuple[str, int], float]:
    """Mean regret of every (table, target) over repetitions and over the orders of a table's seeds."""
    regrets: dict[tuple[str, int], list[float]] = {}
    for pick in picks:
        regrets.setdefault((cluster_name(pick.table), pick.target), []).append(pick.regret)
    return {cluster: float(np.mean(values)) for cluster, values in regrets.items()}


def target_interval(values: Floats, seed: int = 0) -> Interval:
    """95 % percentile bootstrap of the mean over clusters; targets of one table are not quite independent."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(NUM_DRAWS, len(values)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(low), float(high))


def regret_contrast(
    picks: Sequence[Pick], first: str, first_trials: int, second: str, second_trials: int
) -> RegretContrast | None:
    """Regret of the second minus regret of the first, paired by (table, target); None where either is missing."""
    a = cluster_means([p for p in picks if (p.strategy, p.trials) == (first, first_trials)])
    b = cluster_means([p for p in picks if (p.strategy, p.trials) == (second, second_trials)])
    both = [cluster for cluster in a if cluster in b]
    if not both:
        return None
    differences = np.array([b[cluster] - a[cluster] for cluster in both])
    return RegretContrast(
        first=first,
        first_trials=first_trials,
        second=second,
        second_trials=second_trials,
        difference=float(differences.mean()),
        interval=target_interval(differences),
    )


def trials_to(figures: Sequence[RegretFigure], epsilon: float) -> int | None:
    """The first number of trials of one strategy whose mean regret is at most epsilon; None if it never is."""
    return min((figure.trials for figure in figures if figure.regret_mean <= epsilon), default=None)
