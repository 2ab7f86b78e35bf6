"""The ladder of leaks, from equal files to one patient: what is done about each, and how many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from datasets_spec.sample import SPLITS
from datasets_spec.splits.links import BYTES_LINK, GROUP_LINK, IMAGE_LINK, NEAR_LINK, SLICE_LINK

Action = Literal["drop", "refuse", "warn"]
# Strongest first: a pair of rows counts at the first level that ties it.
LEVELS = ("bytes", "pixels", "near", "slices", "group")
_LEVEL_OF = {BYTES_LINK: "bytes", IMAGE_LINK: "pixels", NEAR_LINK: "near", SLICE_LINK: "slices", GROUP_LINK: "group"}


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

    def divide(self, links: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Divides links into those that are acted on and those that are only counted.

        Args:
            links: What ties a row to others.
        """
        watched = frozenset(link for link in links if self.action(level_of(link)) == "warn")
        return links - watched, watched


def level_of(link: str) -> str:
    """Returns the level of a link.

    Args:
        link: Prefixed with what it is.
    """
    return _LEVEL_OF[link[: link.index(":") + 1]]


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


class Watched(Protocol):
    """A row that can be tied to others."""

    @property
    def subset(self) -> str:
        """Its subset."""
        ...

    @property
    def split(self) -> str:
        """The split it was given."""
        ...

    @property
    def all_links(self) -> frozenset[str]:
        """Everything that ties it to others, acted on or not."""
        ...


def count_leaks(rows: Sequence[Watched], policy: LeakagePolicy) -> tuple[LeakCount, ...]:
    """Counts rows that show what a row of a later split shows, over all pairs of subsets and splits.

    Args:
        rows: Rows of all subsets with their splits.
        policy: What is done about them.
    """
    places: dict[str, set[tuple[str, int]]] = {}
    for row in rows:
        for link in row.all_links:
            places.setdefault(link, set()).add((row.subset, SPLITS.index(row.split)))
    counts: Counter[tuple[int, str, str, str, str, Action]] = Counter()
    for row in rows:
        own = SPLITS.index(row.split)
        ties: dict[tuple[str, int], set[int]] = {}
        for link in row.all_links:
            for place in places[link]:
                if place[1] > own:
                    ties.setdefault(place, set()).add(LEVELS.index(level_of(link)))
        for (name, late), levels in ties.items():
            done = _action_on(levels, policy)
            counts[min(levels), row.subset, row.split, name, SPLITS[late], done] += 1
    return tuple(
        LeakCount(
            level=LEVELS[level],
            subset=subset,
            split=split,
            seen_subset=seen_subset,
            seen_split=seen_split,
            num_rows=num,
            action=action,
        )
        for (level, subset, split, seen_subset, seen_split, action), num in sorted(counts.items())
    )


def _action_on(levels: set[int], policy: LeakagePolicy) -> Action:
    """What is done about rows that several levels tie: equal files that may stay go all the same as equal pixels."""
    found = [policy.action(LEVELS[level]) for level in sorted(levels)]
    return next((action for action in found if action != "warn"), "warn")
