"""What constraints on other targets are worth: searches that know them beside searches that do not.

For every target of a table some others must be kept: on each at least what seven of ten compositions do not reach
(by the mean over seeds of what searches see). The truth of a pick is taken from the questions and seeds of the regret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.errors import UserError
from search.bench.known_truth.shipped import cluster_name
from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.problem import ReplayProblem
from search.bench.replay.regret import target_interval
from search.seeds import derived_rng
from search.statistics.intervals import Interval
from search.statistics.ties import descending
from search.strategies.interface import Observation
from search.strategies.recombine import RecombineStrategy

Floats = NDArray[np.float64]
NUM_KEPT: Final = 2
# So many of all compositions break each constraint: most, so that it decides, and not so many that none keeps both.
SHARE_BROKEN: Final = 0.7
# The oracle is the mean of so many best compositions, as `problem` has it.
NUM_ORACLE: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class ConstrainedFigure:
    """One way to search.

    Attributes:
        way: `told` or `not told`.
        kept: share of picks that really keep all constraints.
        kept_interval: 95 %, over targets.
        shortfall: mean of the largest shortfall of a pick, in points.
        regret: points below the best compositions that keep them all; negative for picks that break one to be better.
        num_targets: how many.
    """

    way: str
    kept: float
    kept_interval: Interval
    shortfall: float
    regret: float
    num_targets: int


def compare_constrained(
    tables: Sequence[KnownTruthTable], *, num_trials: int, every_target: int
) -> list[ConstrainedFigure]:
    """Search every table for its targets one by one, told of the constraints or not.

    Raises:
        UserError: the tables are too small.
    """
    found: dict[str, dict[tuple[str, int], list[tuple[float, float, float]]]] = {"not told": {}, "told": {}}
    for table in tables:
        for target in range(0, table.num_targets, every_target):
            least = _least(table, target)
            if least is None:
                continue
            for way, by_target in found.items():
                picked = _pick(table, target, least if way == "told" else {}, num_trials)
                by_target.setdefault((cluster_name(table.name), target), []).append(
                    _truth(table, target, least, picked)
                )
    if not found["told"]:
        raise UserError(
            "on no target there are compositions enough that keep two constraints", hint="take larger tables"
        )
    figures = []
    for way, by_target in found.items():
        means = np.array([np.mean(values, axis=0) for values in by_target.values()]).reshape(-1, 3)
        figures.append(
            ConstrainedFigure(
                way=way,
                kept=float(means[:, 0].mean()),
                kept_interval=target_interval(means[:, 0]),
                shortfall=float(means[:, 1].mean()),
                regret=float(means[:, 2].mean()),
                num_targets=len(means),
            )
        )
    return figures


def _scored(table: KnownTruthTable) -> Floats:
    """[C, targets] accuracy by the questions and seeds of the regret."""
    scores: Floats = table.test[list(table.regret_seeds)].mean(0)
    return scores


def _least(table: KnownTruthTable, target: int) -> dict[int, float] | None:
    """The least score by kept target; None where no five compositions keep all."""
    others = [t for t in range(table.num_targets) if t != target]
    kept = derived_rng(0, table.name, "kept", target).sample(others, min(NUM_KEPT, len(others)))
    seen = table.val.mean(0)
    least = {t: float(np.quantile(seen[:, t], SHARE_BROKEN)) for t in kept}
    return least if _keeping(table, least).sum() >= NUM_ORACLE else None


def _keeping(table: KnownTruthTable, least: dict[int, float]) -> NDArray[np.bool_]:
    scores = _scored(table)
    kept: NDArray[np.bool_] = np.all([scores[:, t] >= score for t, score in least.items()], axis=0)
    return kept


def _pick(table: KnownTruthTable, target: int, least: dict[int, float], num_trials: int) -> int:
    problem = ReplayProblem(table, target=target, num_trials=num_trials)
    context = replace(problem.context(0), least={problem.target_names[t]: score for t, score in least.items()})
    strategy = RecombineStrategy(space=problem.space, seed=0, context=context)
    history: list[Observation] = []
    while len(history) < num_trials and (suggestion := strategy.ask(history, [])) is not None:
        history.append(problem.observe(suggestion.candidate, len(history), 0))
    picked = strategy.recommend(history, target=problem.target_names[target])
    row = None if picked is None else problem.row_of(picked.candidate)
    assert row is not None
    return row


def _truth(table: KnownTruthTable, target: int, least: dict[int, float], row: int) -> tuple[float, float, float]:
    """Whether a pick keeps all, its largest shortfall in points, and its regret among what keeps all."""
    scores, keeping = _scored(table), _keeping(table, least)
    shortfall = max(0.0, *(100 * (score - float(scores[row, t])) for t, score in least.items()))
    chosen_on = table.test[list(table.search_seeds)].mean(0)[keeping, target]
    best = np.flatnonzero(keeping)[descending(chosen_on)[:NUM_ORACLE]]
    regret = 100 * float(scores[best, target].mean() - scores[row, target])
    return float(keeping[row]), shortfall, regret
