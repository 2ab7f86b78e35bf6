"""What is claimed of the search, as tests that can fail: each has its tables, its limit and its error rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from datasets_spec.errors import UserError
from search.bench.replay.many_replays import BenchPlan, run_bench
from search.bench.replay.regret import NUM_DRAWS, Floats, cluster_means
from search.bench.replay.replay import Pick

ALPHA: Final = 0.05  # of every claim, one-sided; corpora are resampled, and targets within each
OWN: Final = "recombine"
SHORT, LONG = 24, 48  # trials of a search for one target
SIZE: Final = 4  # sources of the twelve that every candidate of the second part has
AIMS_OF_SIZE: Final = {30: 0.5, 40: 0.25}  # trials -> points of regret
# Forward selection may be better by so many points at most where it searches for each target alone.
MARGIN: Final = 0.5
POOL, POOL_EACH = 96, 4  # trials of one pool for 24 targets; of forward selection for each of them: as many in all

ByTarget = Mapping[tuple[str, int], float]  # (corpus, target) -> points


class Part(StrEnum):
    """Which claims; each can be run alone."""

    one_by_one = "one-by-one"
    four_of_twelve = "four-of-twelve"
    one_pool = "one-pool"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimFigure:
    """A claim and whether it holds.

    Attributes:
        text: the claim.
        value: the mean it is about, in points.
        bound: the end of its one-sided interval that must keep the limit.
        limit: which the bound must not exceed.
        is_strict: whether the bound must lie below the limit: who is equal is not better.
        num_targets: that were resampled.
    """

    text: str
    value: float
    bound: float
    limit: float
    is_strict: bool
    num_targets: int

    @property
    def holds(self) -> bool:
        """Whether the claim is shown."""
        return self.bound < self.limit if self.is_strict else self.bound <= self.limit


def run_part(
    part: Part, tables: Sequence[Path], *, every_target: int, num_workers: int, on_event: Callable[[str], None]
) -> list[ClaimFigure]:
    """Replay what a part needs and judge its claims.

    Args:
        part: of the claims.
        tables: NPZ files, or names of shipped tables.
        every_target: only every n-th target, for a quick look.
        num_workers: processes, one core each.
        on_event: gets lines of progress.

    Raises:
        UserError: a table is wrong.
    """
    picks: list[Pick] = []
    for plan in _plans(part, tuple(tables), every_target):
        picks += run_bench(plan, num_workers=num_workers, on_event=on_event)[0]
    return judge(part, picks)


def judge(part: Part, picks: Sequence[Pick]) -> list[ClaimFigure]:
    """The claims of a part from the picks of its replays.

    Raises:
        UserError: a search of some target ended before the number of trials that a claim is about.
    """
    return _JUDGES[part](picks)


def _plans(part: Part, tables: tuple[Path, ...], every_target: int) -> list[BenchPlan]:
    def plan(
        *strategies: str, trials: tuple[int, ...], all_targets: bool = False, size: int | None = None
    ) -> BenchPlan:
        return BenchPlan(
            tables=tables,
            strategies=strategies,
            repetitions=1,
            checkpoints=trials,
            all_targets=all_targets,
            size=size,
            item_noise=size is None,
            every_target=every_target,
            with_intervals=False,
        )

    if part is Part.four_of_twelve:
        return [plan(OWN, trials=(trials,), size=SIZE) for trials in AIMS_OF_SIZE]
    if part is Part.one_pool:
        return [plan(OWN, trials=(POOL,), all_targets=True), plan("greedy", trials=(POOL_EACH,))]
    # A search is told how many trials it has, so a short one is not the beginning of a long one.
    own = [plan(OWN, trials=(trials,)) for trials in (SHORT, LONG)]
    return [*own, plan("greedy", "random", "optuna-tpe", trials=(SHORT, LONG))]


def _one_by_one(picks: Sequence[Pick]) -> list[ClaimFigure]:
    found = []
    for trials in (SHORT, LONG):
        text = f"after {trials} trials: at most {MARGIN:g} points worse than forward selection"
        found.append(_figure(text, _behind(picks, "greedy", trials, trials), MARGIN))
        for other in ("random", "optuna-tpe"):
            text = f"after {trials} trials: better than {other}"
            found.append(_better(text, _behind(picks, other, trials, trials)))
    return found


def _four_of_twelve(picks: Sequence[Pick]) -> list[ClaimFigure]:
    found = []
    targets = cluster_means(picks).keys()
    for trials, aim in AIMS_OF_SIZE.items():
        text = f"after {trials} of 495 compositions, without item noise: regret at most {aim:g} points"
        regrets = cluster_means([p for p in picks if p.trials == trials])
        _check_all(text, regrets.keys(), targets)
        found.append(_figure(text, regrets, aim))
    return found


def _one_pool(picks: Sequence[Pick]) -> list[ClaimFigure]:
    text = f"{POOL} trials for all targets: better than forward selection with {POOL_EACH} for each"
    return [_better(text, _behind(picks, "greedy", POOL, POOL_EACH))]


_JUDGES: Final[dict[Part, Callable[[Sequence[Pick]], list[ClaimFigure]]]] = {
    Part.one_by_one: _one_by_one,
    Part.four_of_twelve: _four_of_twelve,
    Part.one_pool: _one_pool,
}


def _behind(picks: Sequence[Pick], other: str, own_trials: int, other_trials: int) -> ByTarget:
    """By how much the default has more regret than another strategy, of every target."""
    mine = cluster_means([p for p in picks if (p.strategy, p.trials) == (OWN, own_trials)])
    theirs = cluster_means([p for p in picks if (p.strategy, p.trials) == (other, other_trials)])
    wanted = mine.keys() | theirs.keys()
    for name, trials, found in ((OWN, own_trials, mine), (other, other_trials, theirs)):
        _check_all(f"{name}, {trials} trials", found.keys(), wanted)
    return {cluster: mine[cluster] - theirs[cluster] for cluster in mine}


def _check_all(text: str, found: Set[tuple[str, int]], wanted: Set[tuple[str, int]]) -> None:
    """Whoever ends early may do so where it does badly: targets are not left out."""
    missing = len(wanted - found)
    if missing or not wanted:
        raise UserError(
            f"no search came so far for {missing or 'any'} of {len(wanted)} targets: {text}",
            hint="the tables have too few compositions for this part",
        )


def _better(text: str, behind: ByTarget) -> ClaimFigure:
    return _figure(text, behind, 0.0, is_strict=True)


def _figure(text: str, by_target: ByTarget, limit: float, *, is_strict: bool = False) -> ClaimFigure:
    by_corpus: dict[str, list[float]] = {}
    for (corpus, _), value in by_target.items():
        by_corpus.setdefault(corpus, []).append(value)
    bound = float(np.quantile(_resampled_means([np.array(values) for values in by_corpus.values()]), 1 - ALPHA))
    return ClaimFigure(
        text=text,
        value=float(np.mean(list(by_target.values()))),
        bound=bound,
        limit=limit,
        is_strict=is_strict,
        num_targets=len(by_target),
    )


def _resampled_means(corpora: Sequence[Floats]) -> Floats:
    """Means of a bootstrap in two stages, [NUM_DRAWS]: targets of one corpus share its sources and their training."""
    rng = np.random.default_rng(0)
    sums, counts = np.zeros(NUM_DRAWS), np.zeros(NUM_DRAWS)
    for drawn in rng.integers(len(corpora), size=(len(corpora), NUM_DRAWS)):
        for place, values in enumerate(corpora):
            draws = np.flatnonzero(drawn == place)
            targets = rng.integers(len(values), size=(len(draws), len(values)))
            sums[draws] += values[targets].sum(1)
            counts[draws] += len(values)
    means: Floats = sums / counts
    return means
