"""Early stopping: asynchronous successive halving whose decisions are paired comparisons, kept in the ledger.

After ASHA (Li et al., MLSys 2020): at each rung a trial is compared with those that were there before it. Plain ASHA
ranks raw scores; with some hundred questions a score is noise of several points, so here a trial is stopped only when
it is worse than a reference by more than the paired noise of their common questions: the last one worth going on with,
or the mean of all that are, which has less noise and lies higher.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from search.engine.trial_factory import PlannedTrial
from search.ledger.ledger import Ledger
from search.ledger.records import Kind, accuracy
from search.statistics.ties import descending
from search.study.spec import StudySpec
from search.vocabulary import COUNTED
from trainers.recipe import Recipe


def rung_steps(spec: StudySpec, recipe: Recipe) -> tuple[int, ...]:
    """Return the steps at which a trial of the search is compared; none without early stopping."""
    if not spec.early_stopping.enabled:
        return ()
    steps = {round(share * recipe.num_steps) for share in spec.early_stopping.rungs}
    return tuple(sorted(step for step in steps if 0 < step < recipe.num_steps))


@dataclass(frozen=True, kw_only=True, slots=True)
class RungDecision:
    """What is decided on a trial at a rung, and why in one line."""

    goes_on: bool
    reason: str


class RungBook:
    """Results at rungs and what was decided; the ledger holds both, so that a killed study goes on from them.

    Args:
        ledger: open for writing.
        spec: the study.
    """

    def __init__(self, ledger: Ledger, spec: StudySpec) -> None:
        self._ledger = ledger
        self._spec = spec

    def goes_on(self, planned: PlannedTrial, step: int, correct: Mapping[str, str]) -> bool:
        """Decide on a trial at a rung and write it down; what was decided before stays.

        Args:
            planned: the trial.
            step: steps it has made.
            correct: by evaluation set, one character a question: 1 right, 0 wrong.
        """
        rung = planned.spec.rungs.index(step)
        records = [r for r in self._ledger.records(Kind.rung) if r["rung"] == rung]
        for record in records:
            if record["train_id"] == planned.spec.train_id:
                return bool(record["goes_on"])
        if self._spec.deterministic and planned.proposal_index is not None:
            # Only results that the proposal was allowed to know, whatever order they came in.
            horizon = planned.proposal_index - self._spec.execution.max_concurrent
            records = [r for r in records if r["proposal_index"] is not None and r["proposal_index"] <= horizon]
        counted = {
            e.eval_set: correct[e.eval_set]
            for e in planned.spec.evaluations
            if e.eval_set in self._spec.objective_sets and e.exposure in COUNTED and e.eval_set in correct
        }
        decision = decide(counted, [r["correct"] for r in records], self._spec)
        self._ledger.append(
            {
                "kind": Kind.rung.value,
                "train_id": planned.spec.train_id,
                "proposal_index": planned.proposal_index,
                "rung": rung,
                "step": step,
                "num_steps": planned.spec.recipe.num_steps,
                "correct": counted,
                "goes_on": decision.goes_on,
                "reason": decision.reason,
            }
        )
        return decision.goes_on


def decide(mine: Mapping[str, str], others: Sequence[Mapping[str, str]], spec: StudySpec) -> RungDecision:
    """Decide whether a trial goes on.

    Args:
        mine: by evaluation set, one character a question.
        others: of the trials that were at this rung before, each the same questions.
        spec: the study, for its early stopping.
    """
    options = spec.early_stopping
    others = [other for other in others if set(other) == set(mine)]
    if not mine or len(others) + 1 < options.min_trials:
        return RungDecision(goes_on=True, reason=f"one of the first {options.min_trials} at this rung")
    ranked = [others[place] for place in descending([accuracy(other) for other in others])]
    # The places worth going on with, counted without this trial: it goes on if it might be as good.
    kept = ranked[: max(1, math.ceil(options.keep * (len(others) + 1)))]
    is_mean = options.reference == "mean"
    lead, error = paired_lead(kept if is_mean else kept[-1:], mine)
    margin = NormalDist().inv_cdf(options.confidence) * error
    points = f"{100 * lead:+.1f} points (noise {100 * margin:.1f})"
    best = f"the {'mean of the ' if is_mean else ''}best {options.keep:.0%}"
    if lead > margin:
        return RungDecision(goes_on=False, reason=f"behind {best} by {points}")
    return RungDecision(goes_on=True, reason=f"not clearly behind {best}: {points}")


def paired_lead(some: Sequence[Mapping[str, str]], other: Mapping[str, str]) -> tuple[float, float]:
    """Return how much more accurate `some` are on average than `other`, and the standard error over their questions.

    The mean over evaluation sets of paired differences; a variance of zero is taken as that of one question that
    differs, because few questions without a difference prove none.
    """
    mean = variance = 0.0
    for name, bits in other.items():
        right = [sum(column) / len(some) for column in zip(*(map(int, one[name]) for one in some), strict=True)]
        differences = [share - int(bit) for share, bit in zip(right, bits, strict=True)]
        n = len(differences)
        center = sum(differences) / n
        spread = sum((d - center) ** 2 for d in differences) / max(1, n - 1)
        mean += center
        variance += max(spread, 1 / n) / n
    return mean / len(other), math.sqrt(variance) / len(other)
