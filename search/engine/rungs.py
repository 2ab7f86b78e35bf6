"""Early stopping: asynchronous successive halving whose decisions are paired comparisons, kept in the ledger.

After ASHA (Li et al., MLSys 2020): at each rung a trial is compared with those that were there before it. Plain ASHA
ranks raw scores; with some hundred questions a score is noise of several points, so here a trial is stopped only when
it is worse than the last one worth going on with by more than the paired noise of their common questions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from search.engine.trial_factory import PlannedTrial
from search.ledger.ledger import Ledger
from search.study.spec import StudySpec
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
        records = [r for r in self._ledger.records() if r["kind"] == "rung" and r["rung"] == rung]
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
            if e.eval_set in self._spec.objective_sets and e.exposure != "in_domain" and e.eval_set in correct
        }
        decision = decide(counted, [r["correct"] for r in records], self._spec)
        self._ledger.append(
            {
                "kind": "rung",
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
    ranked = sorted(others, key=accuracy, reverse=True)
    # The last place worth going on with, counted without this trial: it goes on if it might be as good.
    cutoff = ranked[max(1, math.ceil(options.keep * (len(others) + 1))) - 1]
    lead, error = paired_difference(cutoff, mine)
    margin = NormalDist().inv_cdf(options.confidence) * error
    points = f"{100 * lead:+.1f} points (noise {100 * margin:.1f})"
    if lead > margin:
        return RungDecision(goes_on=False, reason=f"behind the best {options.keep:.0%} by {points}")
    return RungDecision(goes_on=True, reason=f"not clearly behind the best {options.keep:.0%}: {points}")


def accuracy(correct: Mapping[str, str]) -> float:
    """Return the mean over evaluation sets of the share of right answers."""
    return sum(bits.count("1") / len(bits) for bits in correct.values()) / len(correct)


def paired_difference(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[float, float]:
    """Return how much more accurate `one` is than `other`, and the standard error over their common questions.

    The mean over evaluation sets of paired differences; a variance of zero is taken as that of one question that
    differs, because few questions without a difference prove none.
    """
    mean = variance = 0.0
    for name, bits in one.items():
        differences = [int(a) - int(b) for a, b in zip(bits, other[name], strict=True)]
        n = len(differences)
        center = sum(differences) / n
        spread = sum((d - center) ** 2 for d in differences) / max(1, n - 1)
        mean += center
        variance += max(spread, 1 / n) / n
    return mean / len(one), math.sqrt(variance) / len(one)


@dataclass(frozen=True, kw_only=True, slots=True)
class RungAgreement:
    """How well scores at a rung foretold the finals of the trials that were trained to the end.

    Attributes:
        step: of the rung, in the trials' steps.
        num_trials: finished trials that were scored there.
        kendall_tau: rank correlation of rung and final; None with fewer than three trials.
    """

    step: int
    num_trials: int
    kendall_tau: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyStoppingFindings:
    """What early stopping saved, and what it risked.

    Attributes:
        num_stopped: trials of the search that were stopped.
        num_trials: trials of the search that finished or were stopped.
        saved_share: share of these trials' training steps that was not made.
        agreements: by rung.
    """

    num_stopped: int
    num_trials: int
    saved_share: float
    agreements: tuple[RungAgreement, ...]


def compute_early_stopping(records: Sequence[Mapping[str, Any]]) -> EarlyStoppingFindings | None:
    """Return the findings of a study's ledger; None where no rung was reached.

    Stopped trials have no final, so the agreement is that of those that went on: it says nothing of the others.
    """
    from scipy.stats import kendalltau

    rungs = rung_records(records)
    searched = {r["train_id"]: r for r in records if r["kind"] == "trial" and r["stage"] == "search"}
    ended = [r for r in searched.values() if r["status"] in ("finished", "stopped_early")]
    if not rungs or not ended:
        return None
    asked = sum(r["recipe"]["num_steps"] for r in ended)
    made = sum(r["num_steps"] for r in ended)
    agreements = []
    for step in sorted({r["step"] for r in rungs}):
        pairs = []
        for rung in rungs:
            final = searched.get(rung["train_id"])
            if rung["step"] == step and rung["correct"] and final is not None and final["status"] == "finished":
                scores = {e["eval_set"]: e["accuracy"] for e in final["evaluations"] if e["split"] == "search"}
                if set(rung["correct"]) <= set(scores):
                    pairs.append((accuracy(rung["correct"]), sum(scores[n] for n in rung["correct"])))
        tau = float(kendalltau(*zip(*pairs, strict=True)).statistic) if len(pairs) > 2 else None
        tau = tau if tau is not None and math.isfinite(tau) else None
        agreements.append(RungAgreement(step=step, num_trials=len(pairs), kendall_tau=tau))
    return EarlyStoppingFindings(
        num_stopped=sum(r["status"] == "stopped_early" for r in ended),
        num_trials=len(ended),
        saved_share=1 - made / asked if asked else 0.0,
        agreements=tuple(agreements),
    )


def rung_records(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the ledger's records of rungs."""
    return [record for record in records if record["kind"] == "rung"]
