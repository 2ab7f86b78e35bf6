"""When a search ends for want of anything to gain: on worlds without a difference, and on tables with many.

In a null world every composition is worth the same; what differs is luck of training (2.8 points, as on the digits)
and of questions. The gain that every proposal promises is written down, so one replay serves every floor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from datasets_spec.catalog.keys import Key
from search.bench.known_truth.table import KnownTruthTable
from search.bench.replay.problem import NUM_SAMPLES, ReplayProblem
from search.bench.replay.replay import picked_row
from search.space.candidate import Candidate, SearchSpace
from search.space.composition_space import CompositionSpace
from search.statistics.intervals import Interval, wilson_interval
from search.strategies.interface import Observation, SearchContext, Strategy
from search.strategies.registry import build_strategy
from search.vocabulary import Status

FLOORS: Final = (0.1, 0.15, 0.2, 0.3)  # points
NULL_TRIALS: Final = 32
NULL_SOURCES: Final = (8, 12)
NULL_TARGETS: Final = (1, 2, 3)
LEVEL, SEED_SD, NUM_ITEMS = 0.6, 0.028, 130
NUM_DRAWS: Final = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppingFigure:
    """One floor.

    Attributes:
        floor: in points; `strategy.stop_when`.
        null_stopped: share of null campaigns that stop by the last of `NULL_TRIALS`.
        null_interval: 95 % of that.
        trials: mean number on tables.
        added: regret at the stop minus that of the whole search, in points; None without tables.
        added_interval: 95 % over (table, target).
    """

    floor: float
    null_stopped: float
    null_interval: Interval
    trials: float | None
    added: float | None
    added_interval: Interval | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Course:
    """Promised gain in points before every trial, from none to all, and regret there where there is a truth."""

    gains: tuple[float | None, ...]
    regrets: tuple[float, ...] = ()

    def stop(self, floor: float) -> int | None:
        """After how many trials it ends; None: at its last."""
        return next((k for k, gain in enumerate(self.gains) if gain is not None and gain < floor), None)


def null_course(seed: int) -> _Course:
    """A search of a world in which all compositions are worth the same; sources and targets go by the seed."""
    num_sources, num_targets = NULL_SOURCES[seed % len(NULL_SOURCES)], NULL_TARGETS[seed % len(NULL_TARGETS)]
    rng = np.random.default_rng([seed, 18])
    names, targets = [f"s{k:02d}" for k in range(num_sources)], [f"t{k}" for k in range(num_targets)]
    space = SearchSpace(
        composition=CompositionSpace(
            sources=tuple(names), num_samples=(NUM_SAMPLES,), budget=NUM_SAMPLES * num_sources, max_size=num_sources
        )
    )
    context = SearchContext(
        source_keys={name: _key(k) for k, name in enumerate(names)},
        target_keys={name: _key(7 + 3 * k) for k, name in enumerate(targets)},
        num_items=dict.fromkeys(targets, NUM_ITEMS),
        objectives=(tuple(targets),),
    )

    def run(candidate: Candidate, index: int) -> Observation:
        level = float(np.clip(LEVEL + rng.normal(0, SEED_SD), 0, 1))
        scores = {name: float(rng.binomial(NUM_ITEMS, level)) / NUM_ITEMS for name in targets}
        value = sum(scores.values()) / len(scores)
        return Observation(
            candidate=candidate, values=(value,), status=Status.finished, proposal_index=index, scores=scores
        )

    strategy = build_strategy("recombine", space=space, seed=seed, context=context)
    return _course(strategy, run, NULL_TRIALS, lambda results: 0.0)


def table_course(table: KnownTruthTable, target: int, num_trials: int) -> _Course:
    """A search of a table for one target, with the regret before every trial and at the end."""
    problem = ReplayProblem(table, target=target, num_trials=num_trials)
    strategy = build_strategy("recombine", space=problem.space, seed=0, context=problem.context(0))

    def regret(results: Sequence[Observation]) -> float:
        row = picked_row(problem, strategy, results, target)
        return problem.regret(row, target) if row is not None else float("nan")

    return _course(strategy, lambda candidate, index: problem.observe(candidate, index, 0), num_trials, regret)


def _course(
    strategy: Strategy,
    run: Callable[[Candidate, int], Observation],
    num_trials: int,
    regret: Callable[[Sequence[Observation]], float],
) -> _Course:
    results: list[Observation] = []
    gains: list[float | None] = []
    regrets: list[float] = []
    while len(results) < num_trials:
        suggestion = strategy.ask(results, [])
        if suggestion is None:
            break
        gains.append(None if suggestion.gain is None else 100 * suggestion.gain)
        # Where no floor would end it, its regret is not asked for: that is a fit more.
        regrets.append(regret(results) if gains[-1] is not None and gains[-1] < max(FLOORS) else float("nan"))
        results.append(run(suggestion.candidate, len(results)))
    return _Course(gains=tuple(gains), regrets=(*regrets, regret(results)))


def summarise_stopping(null: Sequence[_Course], tables: Sequence[_Course]) -> list[StoppingFigure]:
    """What every floor does."""
    return [_figure(floor, null, tables) for floor in FLOORS]


def _figure(floor: float, null: Sequence[_Course], tables: Sequence[_Course]) -> StoppingFigure:
    num_stopped = sum(course.stop(floor) is not None for course in null)
    stops = [course.stop(floor) for course in tables]
    trials = [len(course.gains) if stop is None else stop for course, stop in zip(tables, stops, strict=True)]
    added = np.array([course.regrets[k] - course.regrets[-1] for course, k in zip(tables, trials, strict=True)])
    low = high = mean = None
    if len(added):
        drawn = np.random.default_rng(0).integers(len(added), size=(NUM_DRAWS, len(added)))
        low, high = np.quantile(added[drawn].mean(1), [0.025, 0.975]).tolist()
        mean = float(added.mean())
    return StoppingFigure(
        floor=floor,
        null_stopped=num_stopped / max(1, len(null)),
        null_interval=wilson_interval(num_stopped, max(1, len(null))),
        trials=float(np.mean(trials)) if trials else None,
        added=mean,
        added_interval=None if low is None or high is None else Interval(low, high),
    )


def _key(place: int) -> Key:
    parts = {"modality": f"m{place % 3}", "area": f"a{place % 4}", "task": f"k{place % 2}", "ability": "none"}
    return Key.model_validate(parts)
