"""What a trial is, its identity, and what it leaves behind."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from datasets_spec.canonical import content_hash, short_hash
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe

TrialStatus = Literal["finished", "stopped_early", "failed", "oom", "timeout", "diverged"]
ExposureName = Literal["held_out", "few_shot", "in_domain"]
# Part of a score's identity: raise it when the meaning of an outcome changes.
SCORER_VERSION = 1


class EvalRequest(BaseModel):
    """One evaluation set to score: which rows, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    eval_set: str
    split: str
    fingerprint: str = Field(description="of the rows (Store.partition_fingerprint)")
    exposure: ExposureName
    generate: bool = False


class TrialSpec(BaseModel):
    """One (backbone, rows, recipe, seed) to fine-tune, and the questions to score it on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: BackboneSpec
    backbone_fingerprint: str
    composition: dict[str, int]
    rows_digest: str = Field(description="hash over the ordered row hashes of the composition")
    recipe: Recipe
    seed: int
    evaluations: tuple[EvalRequest, ...]
    eval_batch_size: int = 64
    timeout_s: float | None = None
    deterministic: bool = False
    rungs: tuple[int, ...] = Field(default=(), description="steps at which it is scored on `search` and may be stopped")

    @property
    def train_id(self) -> str:
        """Return the identity of the trained weights: equal identity means reuse, in this study and in others."""
        return content_hash(
            {
                "backbone": self.backbone_fingerprint,
                "rows": self.rows_digest,
                "recipe": self.recipe.identity(),
                "seed": self.seed,
                "numerics": {"dtype": self.backbone.dtype, "device": self.backbone.device},
            }
        )

    def score_id(self, request: EvalRequest, step: int | None = None) -> str:
        """Return the identity of one score of these weights, as they are after `step` steps (None: the last)."""
        return content_hash(
            {
                "train_id": self.train_id,
                "step": self.recipe.num_steps if step is None else step,
                "rows": request.fingerprint,
                "scorer": SCORER_VERSION,
                "generate": request.generate,
            }
        )

    @property
    def folder_name(self) -> str:
        """Return the trial's folder: readable first, unique last."""
        sources = "-".join(sorted(self.composition)) or "baseline"
        return f"{sources[:60]}-s{self.seed}-{short_hash(self.train_id)}"


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
        description="figures of open and box questions, as `answer_marks.summarise_marks` has them",
    )


class Span(BaseModel):
    """A stretch of a trial's time.

    `data` (joining batches) is a part of `train` and lies within it. `sharing` is how many trials of a pack the time
    was spent on at once: each is charged `duration_s / sharing`.
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
    final_loss: float | None = None
    error: str | None = None
    environment: dict[str, Any] = Field(default_factory=dict)
    slot: str | None = Field(default=None, description="where it ran; None: in a process of its own")
    pack_size: int = Field(default=1, description="trials that began together in the slot")
    spans: tuple[Span, ...] = ()

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
