"""The plan as it was made of Python rows, frozen: what the plan in arrays is held to. Rows, and what ties them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from datasets_spec.sample import QuarantineReason
from datasets_spec.splits.leak_levels import LeakagePolicy, LeakCount

POOL = "pool"
TEST = "test"
GROUP_LINK = "group:"
IMAGE_LINK = "image:"
BYTES_LINK = "bytes:"
NEAR_LINK = "near:"
SLICE_LINK = "slice:"
_LEVEL_OF = {BYTES_LINK: "bytes", IMAGE_LINK: "pixels", NEAR_LINK: "near", SLICE_LINK: "slices", GROUP_LINK: "group"}


def row_links(image_hashes: Sequence[str], groups: Sequence[str], bytes_hashes: Sequence[str] = ()) -> frozenset[str]:
    """Returns what ties a row to others.

    Args:
        image_hashes: Its pixel hashes.
        groups: Its pseudonymous groups.
        bytes_hashes: Hashes of its image files.
    """
    named = ((IMAGE_LINK, image_hashes), (GROUP_LINK, groups), (BYTES_LINK, bytes_hashes))
    return frozenset(prefix + name for prefix, names in named for name in names)


def level_of(link: str) -> str:
    """Returns the level of a link.

    Args:
        link: Prefixed with what it is.
    """
    return _LEVEL_OF[link[: link.index(":") + 1]]


def divide_links(policy: LeakagePolicy, links: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Divides links into those that are acted on and those that are only counted."""
    watched = frozenset(link for link in links if policy.action(level_of(link)) == "warn")
    return links - watched, watched


@dataclass(kw_only=True, slots=True)
class Row:
    """What deciding about a usable row takes.

    Args:
        subset: Its subset.
        role: ``pool`` (divided by shares) or ``test`` (sealed).
        file: Its file as the catalog names it.
        index: Position in the file.
        content_hash: Question, options in any order, answer and images: equal for copies.
        row_hash: Everything a model sees, and the gold answer.
        label: What orders are balanced over.
        links: Its images and known groups, by which splits are kept apart.
        watched: Those by which they are not, because the policy only counts them.
        flags: Its flags.
        split: Its split, once assigned.
        question_key: Equal for rows that are asked the same; empty where answers are not compared.
        answer_key: Equal for equal answers.
        block: Block of staged rows that holds it.
        offset: Where it begins there, in bytes.
    """

    subset: str
    role: str
    file: str
    index: int
    content_hash: str
    row_hash: str
    label: str
    links: frozenset[str]
    flags: tuple[str, ...] = ()
    split: str = ""
    watched: frozenset[str] = frozenset()
    question_key: str = ""
    answer_key: str = ""
    block: str = ""
    offset: int = -1

    @property
    def all_links(self) -> frozenset[str]:
        """Everything that ties it to others, acted on or not."""
        return self.links | self.watched

    @property
    def place(self) -> tuple[str, str, str, int]:
        """Sort key that no listing order of files changes."""
        return (self.subset, self.role, self.file, self.index)

    @property
    def has_group(self) -> bool:
        """Whether its patient is known."""
        return any(link.startswith(GROUP_LINK) for link in self.all_links)


@dataclass(kw_only=True, slots=True)
class RowPlan:
    """The decision about all rows.

    Args:
        partitions: Kept rows in order, by (subset, split).
        removed: Rows left out, with the reason ``duplicate_row``, ``leaked_row`` or ``not_sampled``.
        leaks: Rows that showed what a later split shows, before anything was done about it.
    """

    partitions: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    removed: list[tuple[Row, QuarantineReason]] = field(default_factory=list)
    leaks: tuple[LeakCount, ...] = ()
