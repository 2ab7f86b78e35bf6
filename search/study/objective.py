"""What a study maximises: mean accuracy on held-out targets, mean accuracy on abilities, or both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from search.study.score import ScoreSection, score_of
from search.study.spec import StudySpec
from search.vocabulary import COUNTED, Status


def objective_names(spec: StudySpec) -> tuple[str, ...]:
    """Return what each objective value is, in words."""
    names = {"cg": "mean CG accuracy over targets", "multi_image": "mean accuracy over abilities"}
    return tuple(names.values()) if spec.objective == "pareto" else (names[spec.objective],)


def objective_values(spec: StudySpec, record: Mapping[str, Any], split: str = "search") -> tuple[float, ...] | None:
    """Return a trial's objective values, all to be maximised, or None when it has none.

    A trial that trained on a target's own key has no value: it is stored and shown, but never counts as CG.
    """
    if record["status"] != Status.finished:
        return None
    wanted = [mean_score(record, eval_sets, split, spec.score) for eval_sets in spec.objectives]
    values = tuple(value for value in wanted if value is not None and math.isfinite(value))
    return values if len(values) == len(wanted) else None


def own_keys_seen(spec: StudySpec, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the evaluation sets of the objective whose own key a trial trained on: with one it has no value."""
    seen = {e["eval_set"] for e in record.get("evaluations") or () if e["exposure"] not in COUNTED}
    return tuple(name for name in dict.fromkeys(spec.objective_sets) if name in seen)


def mean_score(
    record: Mapping[str, Any], eval_sets: Sequence[str], split: str, score: ScoreSection | None = None
) -> float | None:
    """Return the mean over evaluation sets; None when one is missing or was trained on."""
    scores = {e["eval_set"]: e for e in record["evaluations"] if e["split"] == split}
    if not eval_sets or any(name not in scores or scores[name]["exposure"] not in COUNTED for name in eval_sets):
        return None
    return sum(score_of(scores[name], score) for name in eval_sets) / len(eval_sets)


def scores_of(
    record: Mapping[str, Any], split: str = "search", *, score: ScoreSection | None = None, always: Sequence[str] = ()
) -> dict[str, float]:
    """Score by evaluation set of a trial's record; sets whose own key was trained on are left out.

    Args:
        record: of the trial.
        split: on which it was scored.
        score: what counts.
        always: sets that must be kept rather than generalised to: trained on or not, they count.
    """
    return {
        e["eval_set"]: score_of(e, score)
        for e in record["evaluations"]
        if e["split"] == split and (e["exposure"] in COUNTED or e["eval_set"] in always)
    }
