"""What early stopping saved and risked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.ledger.records import Kind, accuracy, of_kind, trials_of
from search.vocabulary import Stage


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

    rungs = of_kind(records, Kind.rung)
    searched = {r["train_id"]: r for r in trials_of(records, Stage.search)}
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
