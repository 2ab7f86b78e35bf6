"""The section `design` of a study file."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from trainers.backbone_spec import BackboneSpec

DesignKind = Literal[
    "controlled",
    "three_sources",
    "disruption",
    "zero_overlap",
    "observation",
    "data_efficiency",
    "few_shot",
    "abilities",
]
Direction = Literal["fixed_modality", "fixed_area", "fixed_task", "modality_area_pair"]
DESIGN_KINDS: tuple[DesignKind, ...] = get_args(DesignKind)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
# What each kind asks, for `recombine design list`.
QUESTIONS: dict[DesignKind, str] = {
    "controlled": "do two sources that supply a target's elements between them help it? (Med-MAT, table 3)",
    "three_sources": "and three sources, one element each? (Med-MAT, table 10)",
    "disruption": "which element is missed most when related sources without it are left out? (Med-MAT, figure 4)",
    "zero_overlap": "how much is left when nothing is shared, one element, two? (CrossMed)",
    "observation": "one task alone or all together, at equal epochs and at equal steps? (Med-MAT, tables 1 and 2)",
    "data_efficiency": "how many samples does it take, related and unrelated, without and with target data? (5.1, 5.2)",
    "few_shot": "what do a few samples of the target add, alone and beside related sources?",
    "abilities": "do single images, other abilities or all of them teach an ability? (Med-MIM)",
}


class DesignSection(BaseModel):
    """A fixed experiment instead of a search; sources are `space.composition.sources` and `control_sources`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: DesignKind = Field(description=" | ".join(DESIGN_KINDS))
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1, description="training seeds of every arm")
    directions: tuple[Direction, ...] = Field(
        default=DIRECTIONS,
        min_length=1,
        description="of `controlled`: which element both sources share with the target",
    )
    max_rows: PositiveInt = Field(default=4, description="rows of each direction and target, drawn by the study's seed")
    num_samples: PositiveInt | None = Field(
        default=None, description="samples of one source (3,000 in Med-MAT); default: the largest of the space's"
    )
    budget: PositiveInt | None = Field(
        default=None, description="samples of an arm of `disruption`, `zero_overlap`, `abilities`; default: the space's"
    )
    sizes: tuple[PositiveInt, ...] = Field(
        default=(), description="samples of companion data in `data_efficiency`; default: the space's num_samples"
    )
    shots: tuple[PositiveInt, ...] = Field(
        default=(8, 32), description="samples of the target in `few_shot`, and in the second half of `data_efficiency`"
    )
    split: Literal["search", "confirm"] = Field(default="confirm", description="the questions that are asked")
    backbones: tuple[BackboneSpec, ...] = Field(
        default=(), description="run the same design on each of these, one after the other, instead of on `backbone`"
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name in ("seeds", "directions", "sizes", "shots"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} lists a value more than once: {list(values)}")
        models = [backbone.model for backbone in self.backbones]
        if len(set(models)) < len(models):
            raise ValueError(f"backbones lists a model more than once: {models}")
        return self
