"""What a study maximises: mean accuracy on held-out targets, mean accuracy on abilities, or both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from search.space.candidate import Candidate
from search.strategies.interface import Observation
from search.study.score import ScoreSection, score_of
from search.study.spec import StudySpec
from search.vocabulary import Exposure, Status

# Exposures that count as composing: the target's own key was not trained on, but for a declared few rows.
COUNTED = (Exposure.held_out.value, Exposure.few_shot.value)


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
    targets = mean_accuracy(record, spec.targets, split, spec.score)
    abilities = mean_accuracy(record, spec.abilities, split, spec.score)
    wanted = {"cg": (targets,), "multi_image": (abilities,), "pareto": (targets, abilities)}[spec.objective]
    values = tuple(value for value in wanted if value is not None and math.isfinite(value))
    return values if len(values) == len(wanted) else None


def mean_accuracy(
    record: Mapping[str, Any], eval_sets: Sequence[str], split: str, score: ScoreSection | None = None
) -> float | None:
    """Return the mean over evaluation sets; None when one is missing or was trained on."""
    scores = {e["eval_set"]: e for e in record["evaluations"] if e["split"] == split}
    if not eval_sets or any(name not in scores or scores[name]["exposure"] not in COUNTED for name in eval_sets):
        return None
    return sum(score_of(scores[name], score) for name in eval_sets) / len(eval_sets)


def ranked(observations: Sequence[Observation]) -> list[Observation]:
    """Return the observations that have values, best first.

    With two objectives the non-dominated front comes first, then the next front, and within a front the higher
    mean; ties go to the earlier proposal.
    """
    left = [o for o in observations if o.values is not None]
    order: list[Observation] = []
    while left:
        front = [o for o in left if not any(_dominates(other, o) for other in left)]
        order += sorted(front, key=lambda o: (-sum(o.values or ()), o.proposal_index))
        left = [o for o in left if o not in front]
    return order


def _dominates(a: Observation, b: Observation) -> bool:
    pairs = list(zip(a.values or (), b.values or (), strict=True))
    return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates in their order, each once."""
    return list(dict.fromkeys(candidates))
