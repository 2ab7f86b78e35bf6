"""The counts of a set of outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from trainers.trial.result import Evaluation
from trainers.trial.spec import EvalRequest, TrialSpec

if TYPE_CHECKING:
    from trainers.scoring.outcome import Outcome


def summarise_marks(outcomes: Iterable[Outcome]) -> dict[str, dict[str, float]]:
    """Return the figures of the open and box questions of a set; empty for closed questions alone.

    Returns:
        ``open``: ``n``, ``correct`` (exact matches), ``token_f1``, ``rouge_l``, ``invalid``; ``box``: ``n``,
        ``correct`` (IoU of at least ``RIGHT_IOU``), ``iou`` (mean), ``ciou`` (summed intersections over summed unions,
        as in Med-MAT's section 6; here of shares of the image), ``invalid``. Nothing where there is no question.
    """
    by_kind: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.answer_kind != "closed":
            by_kind.setdefault(outcome.answer_kind, []).append(outcome)
    figures = {}
    for kind, members in sorted(by_kind.items()):
        own = _open_figures(members) if kind == "open" else _box_figures(members)
        counts = {name: sum(getattr(o, name) for o in members) for name in ("correct", "invalid")}
        figures[kind] = {"n": len(members), **counts, **own}
    return figures


def _open_figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    return {name: sum(getattr(o, name) for o in outcomes) / len(outcomes) for name in ("token_f1", "rouge_l")}


def _box_figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    common, union = (sum(getattr(o, name) for o in outcomes) for name in ("intersection", "union"))
    return {"iou": sum(o.iou or 0.0 for o in outcomes) / len(outcomes), "ciou": common / union}


def summarise(
    spec: TrialSpec, request: EvalRequest, outcomes: Sequence[Outcome], eval_s: float, *, step: int | None = None
) -> Evaluation:
    """Return the counts of a set of outcomes after `step` steps (None: the last); every question counts."""
    return Evaluation(
        score_id=spec.score_id(request, step),
        eval_set=request.eval_set,
        split=request.split,
        exposure=request.exposure,
        eval_s=eval_s,
        **count_outcomes(outcomes),
    )


def count_outcomes(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the fields of an `Evaluation` that are computed from the outcomes of its questions."""
    n, correct = len(outcomes), sum(o.correct for o in outcomes)
    generated = [o.generation_correct for o in outcomes if o.generation_correct is not None]
    complete = bool(generated) and len(generated) == n
    return {
        "n": n,
        "correct": correct,
        "accuracy": correct / n if n else 0.0,
        "generation_correct": sum(generated) if complete else None,
        "generation_accuracy": sum(generated) / n if complete else None,
        "invalid": sum(o.invalid for o in outcomes),
        "free_answers": summarise_marks(outcomes),
    }
