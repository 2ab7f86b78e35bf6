"""The part of a study file about what a selection must keep, whatever it gains."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator


class ConstraintsSection(BaseModel):
    """Looked at on `search` where trials are proposed and finalists chosen, judged on `confirm`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    no_image_floor: bool = Field(
        default=False, description="no target or ability below what is reached on it without its images"
    )
    most_lost: NonNegativeFloat | None = Field(
        default=None,
        description="points that an ability or a retained set may lose against the untrained backbone",
    )

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.no_image_floor and self.most_lost is None:
            raise ValueError("asks for nothing: set no_image_floor or most_lost, or leave the section out")
        return self
