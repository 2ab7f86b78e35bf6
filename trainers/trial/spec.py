"""What a trial is, and its identity."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from datasets_spec.canonical import content_hash, short_hash
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe

ExposureName = Literal["held_out", "few_shot", "in_domain"]
# Part of a score's identity: raise it when the meaning of an outcome changes. 2: words as Unicode folds them, with the
# signs that they change their meaning by.
SCORER_VERSION = 2
# Part of the identity of weights: raise it when the same recipe gives other weights. 2: dropout by place, adapters on
# 16 bits multiply in 16 bits, image tokens of a pack go to their own projector.
TRAINER_VERSION = 2


class EvalRequest(BaseModel):
    """One evaluation set to score: which rows, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    eval_set: str
    split: str
    fingerprint: str = Field(description="of the rows (Store.partition_fingerprint)")
    exposure: ExposureName
    generate: bool = False
    has_words: bool = Field(default=False, description="whether any of the questions is answered in words")


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
        numerics: dict[str, str] = {"dtype": self.backbone.dtype, "device": self.backbone.device}
        if self.backbone.attention != "auto":
            numerics["attention"] = self.backbone.attention
        identity = {
            "backbone": self.backbone_fingerprint,
            "rows": self.rows_digest,
            "recipe": self.recipe.identity(),
            "seed": self.seed,
            "numerics": numerics,
        }
        version = trainer_version(self.backbone, self.recipe) if self.composition else 1
        return content_hash(identity | ({"trainer": version} if version > 1 else {}))

    def score_id(self, request: EvalRequest, step: int | None = None) -> str:
        """Return the identity of one score of these weights, as they are after `step` steps (None: the last)."""
        return content_hash(
            {
                "train_id": self.train_id,
                "step": self.recipe.num_steps if step is None else step,
                "rows": request.fingerprint,
                "scorer": scorer_version(has_words=request.has_words),
                "generate": request.generate,
            }
        )

    @property
    def score_ids(self) -> frozenset[str]:
        """Identities of the scores that are asked for, of the last weights."""
        return frozenset(self.score_id(request) for request in self.evaluations)

    @property
    def folder_name(self) -> str:
        """Return the trial's folder: readable first, unique last."""
        sources = "-".join(sorted(self.composition)) or "baseline"
        return f"{sources[:60]}-s{self.seed}-{short_hash(self.train_id)}"


def trainer_version(backbone: BackboneSpec, recipe: Recipe) -> int:
    """Return the first version of the trainer since which these weights come out as they do today.

    Args:
        backbone: resolved.
        recipe: of the fine-tune.
    """
    is_plain = backbone.dtype == "float32" and backbone.attention == "auto"
    return 1 if is_plain and not recipe.lora_dropout and "projector" not in recipe.lora_modules else TRAINER_VERSION


def scorer_version(*, has_words: bool) -> int:
    """Return the first version of the scorer since which outcomes mean what they mean today.

    Args:
        has_words: whether any of the questions is answered in words; letters and boxes are scored as they always were.
    """
    return SCORER_VERSION if has_words else 1


def rows_digest(row_hashes: Sequence[str]) -> str:
    """Return the identity of an ordered list of rows."""
    digest = sha256()
    for row_hash in row_hashes:
        digest.update(row_hash.encode())
        digest.update(b"\n")
    return digest.hexdigest()
