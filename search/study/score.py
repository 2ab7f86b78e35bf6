"""The number a target is searched by: the share of right letters, how many words are right, how well boxes fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import pandas as pd


class ScoreSection(BaseModel):
    """What an open and a box question count for; a closed question is right or wrong.

    The defaults give part of a mark for part of an answer. Open answers are often sentences (Med-MIM's are 16 to 72
    words long), which no model repeats to the letter: by exact match every composition would score 0 and the search
    would be blind. A box that nearly fits tells more of a composition than one bit, and target sets are small.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    open: Literal["token_f1", "rouge_l", "exact"] = Field(
        default="token_f1", description="overlap of words, longest common subsequence of words, or equal answers"
    )
    box: Literal["iou", "accuracy"] = Field(
        default="iou", description="mean intersection over union, or the share of boxes with at least 0.5"
    )

    def figure_of(self, kind: str) -> str:
        """Return the figure of an evaluation, and the column of an outcome, that counts for a kind of question."""
        chosen = {"open": self.open, "box": self.box}.get(kind, "correct")
        return "correct" if chosen in ("exact", "accuracy") else chosen


def score_of(evaluation: Mapping[str, Any], score: ScoreSection | None = None) -> float:
    """Return the mean mark of an evaluation's questions; of closed questions alone it is their accuracy.

    Args:
        evaluation: as the ledger has it.
        score: what counts; the defaults when None.
    """
    free: Mapping[str, Mapping[str, float]] = evaluation.get("free_answers") or {}
    if not free:
        return float(evaluation["accuracy"])
    score = score or ScoreSection()
    n, correct = int(evaluation["n"]), float(evaluation["correct"])
    total = correct - sum(figures["correct"] for figures in free.values())
    for kind, figures in free.items():
        chosen = score.figure_of(kind)
        total += figures["correct"] if chosen == "correct" else figures["n"] * figures[chosen]
    return total / n


def with_marks(outcomes: pd.DataFrame, score: ScoreSection) -> pd.DataFrame:
    """Return outcomes with the column ``mark``: what each question counts for, in 0..1.

    Args:
        outcomes: columns as `trainers.scoring.outcome.OUTCOME_SCHEMA`.
        score: what counts.
    """
    marks = outcomes["correct"].astype(float)
    for kind in ("open", "box"):
        chosen = score.figure_of(kind)
        if chosen != "correct" and "answer_kind" in outcomes:
            marks = marks.mask(outcomes["answer_kind"] == kind, outcomes[chosen].astype(float))
    return outcomes.assign(mark=marks)
