"""What a trial leaves."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trainers.trial.spec import ExposureName, TrialSpec

TrialStatus = Literal["finished", "stopped_early", "failed", "oom", "timeout", "diverged"]


class Evaluation(BaseModel):
    """The score of one trial on one evaluation set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    score_id: str
    eval_set: str
    split: str
    exposure: ExposureName
    n: int
    correct: int
    accuracy: float
    generation_correct: int | None
    generation_accuracy: float | None
    invalid: int
    eval_s: float
    free_answers: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="figures of open and box questions, as `summary.summarise_marks` has them",
    )


class Span(BaseModel):
    """A stretch of a trial's time.

    `data` (waiting for samples and joining them) is a part of `train` and lies within it. `sharing` is how many trials
    of a pack the time was spent on at once: each is charged `duration_s / sharing`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: Literal["queue", "startup", "data", "train", "score", "checkpoint"]
    started_at: float = Field(description="time.time()")
    duration_s: float
    sharing: int = 1


class TrialResult(BaseModel):
    """What a trial leaves in its folder as `trial.json`; the ledger's record is made from it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train_id: str
    status: TrialStatus
    num_train_samples: int
    num_steps: int
    train_s: float
    startup_s: float
    evaluations: tuple[Evaluation, ...]
    adapter_sha256: str | None
    adapter_removed: bool = Field(default=False, description="the weights were scored and then removed to save space")
    final_loss: float | None = None
    num_tokens: int | None = Field(
        default=None, description="trained on in `train_s`, image tokens included; None: not counted"
    )
    error: str | None = None
    environment: dict[str, Any] = Field(default_factory=dict)
    slot: str | None = Field(default=None, description="where it ran; None: in a process of its own")
    pack_size: int = Field(default=1, description="trials that began together in the slot")
    spans: tuple[Span, ...] = ()

    @property
    def started_at(self) -> float | None:
        """Return `time.time()` when work on it began; None where no time of it is known."""
        return min((span.started_at for span in self.spans if span.phase != "queue"), default=None)

    @property
    def seconds(self) -> dict[str, float]:
        """Return the seconds that this trial is charged, by phase."""
        charged: dict[str, float] = {}
        for span in self.spans:
            charged[span.phase] = charged.get(span.phase, 0.0) + span.duration_s / span.sharing
        if "data" in charged:
            charged["train"] = max(0.0, charged["train"] - charged["data"])
        return charged


def failed_result(spec: TrialSpec, error: str) -> TrialResult:
    """Return the result of a trial whose processes died before they could write one."""
    return TrialResult(
        train_id=spec.train_id,
        status="failed",
        num_train_samples=sum(spec.composition.values()),
        num_steps=0,
        train_s=0.0,
        startup_s=0.0,
        evaluations=(),
        adapter_sha256=None,
        error=error,
    )
