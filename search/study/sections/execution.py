"""The section `execution` of a study file: where one trial runs, and how many run at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from search.study.sections.slot_prices import slot_price


class SlotShape(BaseModel):
    """Slots of one kind, where the nodes of a cluster differ."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: PositiveInt = Field(default=1, description="how many of them")
    cpus: PositiveFloat | None = Field(default=None, description="default: execution.cpus_per_worker")
    gpus: PositiveFloat | None = Field(default=None, description="default: execution.gpus_per_worker")
    accelerator: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Ray's name of the GPU (A100, L4 ...)"
    )


class ExecutionSection(BaseModel):
    """Where one trial runs and how many run at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    executor: Literal["auto", "pooled", "nested"] = Field(
        default="auto",
        description="pooled: long-lived slots that hold the backbone; nested: one Ray Train run a trial; "
        "both give the same answers",
    )
    pack: Literal["auto"] | PositiveInt = Field(
        default="auto", description="fine-tunes trained side by side in a slot; auto measures what is fastest"
    )
    max_pack: PositiveInt = Field(default=16, description="largest pack that `auto` tries")
    vision_features: Literal["auto"] | bool = Field(
        default="auto",
        description="compute the frozen vision tower's output once a study; auto: where the object store has room "
        "and no recipe trains the projector",
    )
    checkpoint_s: PositiveFloat = Field(
        default=60.0, description="training time between two checkpoints of a pooled trial"
    )
    num_workers: int = Field(
        default=1,
        ge=0,
        description="Ray Train workers of one trial; more than 1 means DDP, in the nested executor; 0 trains inside "
        "the Tune trial's own process (quick to start, but a crash loses what the trial had done)",
    )
    cpus_per_worker: PositiveFloat = 1.0
    gpus_per_worker: float = Field(default=0.0, ge=0)
    num_threads: PositiveInt = Field(default=1, description="torch threads of a worker")
    max_concurrent: PositiveInt = 2
    slots: tuple[SlotShape, ...] = Field(
        default=(), description="slots of the pooled executor by kind; default: max_concurrent equal ones"
    )
    max_failures: int = Field(default=1, ge=0, description="restarts after a worker's death")
    trial_timeout_s: PositiveFloat | None = Field(
        default=None, description="training time after which a trial is stopped"
    )
    eval_batch_size: PositiveInt = 64
    keep_adapters: Literal["all"] | NonNegativeInt = Field(
        default=8,
        description="adapters of the search's best so many trials are kept, beside those of finalists, comparators, "
        "single sources and designs; the others are removed once scored, and a new target cannot be scored with them "
        "later without training; `all` keeps every one",
    )
    prices: dict[str, NonNegativeFloat] = Field(
        default_factory=dict,
        description="an hour of one `cpu`, of one `gpu`, or of one GPU of a kind by Ray's name: what `plan` and "
        "`status` call the cost",
    )
    currency: str = Field(default="", pattern=r"^\w{0,10}$", description="of the prices, as it is shown")

    @property
    def num_slots(self) -> int:
        """Slots of the pooled executor; of the nested one, trials at a time."""
        return sum(shape.count for shape in self.slots) or self.max_concurrent

    @property
    def chosen_executor(self) -> tuple[str, str]:
        """The executor, `pooled` or `nested`, and why."""
        if self.num_workers > 1:
            return "nested", "only this one shares a trial over several workers"
        if self.executor != "auto":
            return self.executor, "asked for"
        if self.num_workers == 0:
            return "nested", "num_workers: 0 trains inside the Tune trial's own process"
        return "pooled", "the backbone is loaded once a slot instead of once a trial"

    @property
    def slot_prices_per_h(self) -> tuple[float, ...]:
        """What an hour of each slot costs, in the order of `slots`; empty without prices.

        Raises:
            ValueError: what a slot occupies has no price.
        """
        if not self.prices:
            return ()
        shapes = self.slots or (SlotShape(count=self.max_concurrent * max(1, self.num_workers)),)
        return tuple(
            slot_price(
                self.prices,
                cpus=shape.cpus or self.cpus_per_worker,
                gpus=shape.gpus or self.gpus_per_worker,
                accelerator=shape.accelerator,
            )
            for shape in shapes
            for _ in range(shape.count)
        )

    def gpus_of(self, slot: str | None = None) -> float:
        """How many GPUs a trial of a slot holds; without `slots`, all its workers together."""
        if not self.slots:
            return self.gpus_per_worker * max(1, self.num_workers)
        return of_slot([shape.gpus or self.gpus_per_worker for shape in self.slots for _ in range(shape.count)], slot)

    def cost_text(self, *costs: float) -> str:
        """A cost, or a range of costs, as it is shown."""
        return " to ".join(f"{cost:,.2f}" for cost in costs) + (f" {self.currency}" if self.currency else "")

    @model_validator(mode="after")
    def _slots_fit(self) -> Self:
        if self.slots and self.chosen_executor[0] != "pooled":
            raise ValueError("execution.slots are of the pooled executor: set num_workers to 1, or leave them out")
        if not self.gpus_per_worker and any(shape.gpus or shape.accelerator for shape in self.slots):
            raise ValueError("execution.slots ask for GPUs: set gpus_per_worker too, which decides on the device")
        _ = self.slot_prices_per_h  # raises where one is missing
        return self


def of_slot(values: Sequence[float], slot: str | None) -> float:
    """The value of a slot, by its name; the mean for one that the study does not have, or no longer."""
    by_name = {f"slot-{number}": value for number, value in enumerate(values)}
    return by_name.get(slot or "", sum(values) / len(values))
