"""The ladder of leaks, from equal files to one patient: what is done about each, and how many there are."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Action = Literal["drop", "refuse", "warn"]
# Strongest first: a pair of rows counts at the first level that ties it.
LEVELS = ("bytes", "pixels", "near", "slices", "group")


class LeakagePolicy(BaseModel):
    """What is done about a row that shows what a row of a later split shows.

    ``drop`` leaves it out of the store, ``refuse`` prepares nothing, ``warn`` keeps and counts it.

    Args:
        bytes: The same image file.
        pixels: Another file of the same pixels.
        near: A picture that shows the same: saved, scaled, stretched, turned or cropped again, brighter or darker.
        slices: A neighbouring slice of one volume or frame of one film, as its pixels suggest; only counted by default,
            because that is a guess about patients, and volumes are often published whole.
        group: Another image of the same patient or study, where the catalog says how to tell.
        flips: Mirrored and upside-down copies count as ``near`` too; public sets hold many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: Action = "drop"
    pixels: Action = "drop"
    near: Action = "drop"
    slices: Action = "warn"
    group: Action = "drop"
    flips: bool = True

    def action(self, level: str) -> Action:
        """Returns what is done at a level.

        Args:
            level: One of ``LEVELS``.
        """
        found: Action = getattr(self, level)
        return found

    @property
    def acted(self) -> tuple[str, ...]:
        """Levels by which splits are kept apart; the others are only counted."""
        return tuple(level for level in LEVELS if self.action(level) != "warn")


class LeakCount(BaseModel):
    """Rows of one subset and split that show what rows of a later split show, before anything was done about them.

    Args:
        level: One of ``LEVELS``, the strongest that ties them.
        subset: Their subset.
        split: Their split.
        seen_subset: Subset of the later rows.
        seen_split: Its split.
        num_rows: How many rows.
        action: What was done about them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: str
    subset: str
    split: str
    seen_subset: str
    seen_split: str
    num_rows: int
    action: Action
