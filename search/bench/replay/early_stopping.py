"""What early stopping saves and costs: searches of random compositions, replayed with the study's own rule.

Two targets of a digits corpus are one problem, their mean is the objective. Trials run two at a time and stop as a
study stops them; the choice is the best final score among those that went to the end. Regret is what that choice is
worth below the choice of a search that stopped nothing, both by other seeds and other questions.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np

from search.bench.known_truth.digits_rungs import RungTrials
from search.engine.rungs import decide
from search.statistics.intervals import Interval
from search.statistics.ties import index_of_largest
from search.study.spec import EarlyStoppingSection

NUM_SLOTS: Final = 2
NUM_DRAWS: Final = 2000
# Rules beside each other: the default of the field, the templates', and that one with an earlier rung.
RULES: Final = {
    "last of the best third": EarlyStoppingSection(enabled=True),
    "mean of the best third": EarlyStoppingSection(enabled=True, reference="mean"),
    "the same, a rung at 10 %": EarlyStoppingSection(enabled=True, reference="mean", rungs=(0.1, 0.25, 0.5)),
}
ALL_RUNGS: Final = tuple(sorted({rung for rule in RULES.values() for rung in rule.rungs}))


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyStoppingFigure:
    """A rule on all problems; 95 % intervals over corpora, whose targets share their trials.

    Attributes:
        rule: its name.
        steps: share of all steps that was made.
        steps_interval: of that.
        regret: points below the choice without early stopping.
        regret_interval: of that.
        same_choice: share of problems with the same choice.
        num_problems: how many.
    """

    rule: str
    steps: float
    steps_interval: Interval
    regret: float
    regret_interval: Interval
    same_choice: float
    num_problems: int


def compare_rules(corpora: Sequence[RungTrials]) -> list[EarlyStoppingFigure]:
    """Replay every rule on every pair of targets of every corpus."""
    return [_figure(name, [list(_outcomes(trials, rule)) for trials in corpora]) for name, rule in RULES.items()]


def _figure(name: str, by_corpus: Sequence[Sequence[tuple[float, float, bool]]]) -> EarlyStoppingFigure:
    found = np.array(by_corpus, dtype=np.float64)  # [corpora, problems, 3]
    drawn = np.random.default_rng(0).integers(len(found), size=(NUM_DRAWS, len(found)))
    low, high = np.quantile(found.mean(1)[drawn].mean(1), [0.025, 0.975], axis=0)
    steps, regret, same = found.mean((0, 1)).tolist()
    return EarlyStoppingFigure(
        rule=name,
        steps=steps,
        steps_interval=Interval(float(low[0]), float(high[0])),
        regret=regret,
        regret_interval=Interval(float(low[1]), float(high[1])),
        same_choice=same,
        num_problems=found.shape[0] * found.shape[1],
    )


def _outcomes(trials: RungTrials, rule: EarlyStoppingSection) -> Iterator[tuple[float, float, bool]]:
    """Share of the steps, regret in points and whether the choice is the same, of every pair of targets."""
    num_targets = trials.truth.shape[1]
    for first in range(0, num_targets - 1, 2):
        targets = (first, first + 1)
        made, ended = run_search(trials, targets, rule)
        final = np.mean([trials.right[-1][t].mean(axis=1) for t in targets], axis=0)
        truth = trials.truth[:, targets].mean(1)
        whole, chosen = index_of_largest(final), ended[index_of_largest(final[ended])]
        yield float(np.mean(made)), 100 * float(truth[whole] - truth[chosen]), whole == chosen


def run_search(trials: RungTrials, targets: Sequence[int], rule: EarlyStoppingSection) -> tuple[list[float], list[int]]:
    """One search, two trials at a time: the share of its steps that each made, and which went to the end."""
    # The rule reads nothing of a study but its section.
    spec: Any = type("Spec", (), {"early_stopping": rule})()
    places = [*(trials.shares.index(rung) for rung in rule.rungs), len(trials.shares) - 1]
    answers = [_as_bits(trials, place, targets) for place in places]
    seen: list[list[dict[str, str]]] = [[] for _ in rule.rungs]
    num = len(trials.truth)
    made, ended, waiting = [0.0] * num, [], iter(range(num))
    running = [(trials.shares[places[0]], trial, 0) for trial in islice(waiting, NUM_SLOTS)]
    while running:
        now, trial, rung = heapq.heappop(running)
        made[trial] = trials.shares[places[rung]]
        goes_on = False
        if rung == len(seen):
            ended.append(trial)
        else:
            goes_on = decide(answers[rung][trial], seen[rung], spec).goes_on
            seen[rung].append(answers[rung][trial])
        if goes_on:
            heapq.heappush(running, (now + trials.shares[places[rung + 1]] - made[trial], trial, rung + 1))
        elif (following := next(waiting, None)) is not None:
            heapq.heappush(running, (now + trials.shares[places[0]], following, 0))
    return made, sorted(ended)


def _as_bits(trials: RungTrials, place: int, targets: Sequence[int]) -> list[dict[str, str]]:
    """The answers of every trial as the ledger keeps them."""
    return [
        {str(t): "".join("1" if right else "0" for right in trials.right[place][t][k]) for t in targets}
        for k in range(len(trials.truth))
    ]
