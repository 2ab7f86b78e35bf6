"""What became of one question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

OUTCOME_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("eval_set", pa.string()),
        ("split", pa.string()),
        ("predicted", pa.int32()),
        ("correct", pa.bool_()),
        ("log_probs", pa.list_(pa.float32())),
        ("gold_log_prob", pa.float32()),
        ("generated", pa.string()),
        ("generation_correct", pa.bool_()),
        ("invalid", pa.bool_()),
        ("answer_kind", pa.string()),
        ("token_f1", pa.float32()),
        ("rouge_l", pa.float32()),
        ("iou", pa.float32()),
        ("intersection", pa.float32()),
        ("union", pa.float32()),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one question; holds no question or answer text, only option numbers, letters and marks.

    Attributes:
        correct: the right option; the right words after normalisation; a box with an IoU of at least 0.5.
        invalid: nothing that can be scored was answered: no finite log-probabilities, no letter, no words, no box.
        answer_kind: `closed`, `open` or `box`.
        token_f1: of an open answer, as `rouge_l`.
        iou: of a box, as the areas of `intersection` and `union` (shares of the image).
    """

    sample_id: str
    eval_set: str
    split: str
    predicted: int
    correct: bool
    log_probs: list[float]
    gold_log_prob: float | None
    generated: str | None
    generation_correct: bool | None
    invalid: bool
    answer_kind: str = "closed"
    token_f1: float | None = None
    rouge_l: float | None = None
    iou: float | None = None
    intersection: float | None = None
    union: float | None = None


def outcomes_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Return outcomes as an Arrow table with `OUTCOME_SCHEMA`."""
    return pa.Table.from_pylist([asdict(outcome) for outcome in outcomes], schema=OUTCOME_SCHEMA)
