"""The recipe: the hyper-parameters of one fine-tune."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# Fields that only split the same sum: two trainings that differ in no other are one.
SPLITTING_FIELDS = frozenset({"micro_batch_size"})


class Recipe(BaseModel):
    """Hyper-parameters of a LoRA fine-tune.

    The defaults suit the phantom backbone (docs/phantom.md, section 4). Published studies on 7B models use learning
    rates from 5e-6 (full fine-tunes) to 2e-4 (LoRA): set them in the study file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=5e-3, gt=0, description="peak of warm-up and cosine decay")
    num_steps: int = Field(
        default=80, ge=0, description="optimizer steps, whatever the number of samples; 0 = untrained"
    )
    batch_size: int = Field(default=32, ge=1, description="samples a step over all workers")
    micro_batch_size: int | None = Field(
        default=None,
        ge=1,
        description="samples a forward pass on one worker; changes memory, not the experiment. Default: a whole batch, "
        "on a GPU as many as are estimated to fit",
    )
    lora_rank: int = Field(default=8, ge=1)
    lora_alpha: float = Field(default=16.0, gt=0)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    lora_modules: Literal["attention", "language", "language+projector"] = Field(
        default="attention",
        description="where adapters sit: the language model's attention, all its linear layers, or these and the "
        "projector; the vision tower is always left alone",
    )
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_fraction: float = Field(default=0.1, ge=0, le=1)
    max_grad_norm: float = Field(default=1.0, gt=0)

    def identity(self) -> dict[str, object]:
        """Return the fields that decide the result: all but the micro-batch, which only splits the same sum."""
        return self.model_dump(mode="json", exclude=set(SPLITTING_FIELDS))
