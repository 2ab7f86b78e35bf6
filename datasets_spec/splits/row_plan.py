"""Which rows are kept, in which split and order: decided from hashes alone, without texts or pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from datasets_spec.sample import QuarantineReason
from datasets_spec.splits.assign import assign_splits
from datasets_spec.splits.leak_guard import leaked_positions, require_no_leak, require_no_refused
from datasets_spec.splits.leak_levels import LeakagePolicy, LeakCount, count_leaks
from datasets_spec.splits.links import GROUP_LINK
from datasets_spec.splits.row_order import round_robin
from datasets_spec.splits.shares import SamplingSpec, SplitShares

POOL = "pool"
TEST = "test"


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
        num_bytes: Bytes of its images.
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
    num_bytes: int = 0
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


def make_plan(
    rows: Iterable[Row],
    shares: Mapping[str, SplitShares],
    *,
    seed: int,
    sampling: Mapping[str, SamplingSpec] | None = None,
    policy: LeakagePolicy | None = None,
) -> RowPlan:
    """De-duplicates, splits, guards against leaks, orders and samples rows; the same for any order they come in.

    Args:
        rows: Usable rows of all subsets.
        shares: Shares by subset.
        seed: Seed of the store.
        sampling: What is kept, by subset; everything of a subset that is not named.
        policy: What is done about leaks.

    Raises:
        LeakageError: There are leaks that the policy refuses, or the guard failed.
    """
    plan = RowPlan()
    kept = _without_copies(sorted(rows, key=lambda row: row.place), plan)
    _assign(kept, shares, seed)
    plan.leaks = count_leaks(kept, policy or LeakagePolicy())
    require_no_refused(plan.leaks)
    leaked = leaked_positions(kept)
    plan.removed.extend((kept[position], QuarantineReason.leaked_row) for position in sorted(leaked))
    kept = [row for position, row in enumerate(kept) if position not in leaked]
    require_no_leak(kept)
    grouped: dict[tuple[str, str], dict[str, Row]] = {}
    for row in kept:
        # Rows of one subset and split differ in content, so content names them whatever their files are called.
        grouped.setdefault((row.subset, row.split), {})[row.content_hash] = row
    for (subset, split), by_content in sorted(grouped.items()):
        pairs = [(content, row.label) for content, row in by_content.items()]
        ordered = [by_content[content] for content in round_robin(pairs, seed=seed, name=f"{subset}/{split}")]
        kept_of = (sampling or {}).get(subset, SamplingSpec())
        num_kept = kept_of.num_kept(split, Counter(row.label for row in ordered))
        plan.partitions[subset, split] = ordered[:num_kept]
        plan.removed.extend((row, QuarantineReason.not_sampled) for row in ordered[num_kept:])
    return plan


def _without_copies(rows: Sequence[Row], plan: RowPlan) -> list[Row]:
    # A pool row that copies a test row is a leak, not a duplicate: it is left for the guard to find and count.
    seen: dict[tuple[str, str], set[str]] = {}
    kept = []
    for row in rows:
        contents = seen.setdefault((row.subset, row.role), set())
        if row.content_hash in contents:
            plan.removed.append((row, QuarantineReason.duplicate_row))
        else:
            contents.add(row.content_hash)
            kept.append(row)
    return kept


def _assign(rows: Sequence[Row], shares: Mapping[str, SplitShares], seed: int) -> None:
    pool = [row for row in rows if row.role == POOL]
    splits = assign_splits([row.links for row in pool], [row.subset for row in pool], shares, seed=seed)
    for row, split in zip(pool, splits, strict=True):
        row.split = split
    for row in rows:
        if row.role == TEST:
            row.split = "sealed"
