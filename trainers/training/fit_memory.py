"""How many samples go through a GPU at once, and whether activations are kept: what is estimated to fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from trainers.training.memory_estimate import MemoryEstimate

USED_SHARE = 0.9  # of a card: sizes come from a few rows, and no card's own count has been held against the estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryChoice:
    """How a fine-tune goes through a GPU; neither changes the experiment.

    Attributes:
        micro_batch_size: samples at a time.
        is_checkpointed: activations are computed again in the backward pass.
    """

    micro_batch_size: int
    is_checkpointed: bool

    def __str__(self) -> str:
        samples = f"{self.micro_batch_size} sample{'s' if self.micro_batch_size > 1 else ''} at a time"
        return samples + (", activations computed again" if self.is_checkpointed else "")


def fit_memory(
    options: Sequence[tuple[bool, MemoryEstimate]],
    *,
    estimated_for: int,
    batch_size: int,
    asked: int | None,
    room_gib: float,
) -> MemoryChoice:
    """Return the first way that fits into a card, with the largest micro-batch; the last, sample by sample, if none.

    Activations are kept where one sample fits so: computing them again takes a third more time, and one sample of a
    thousand tokens fills a card's units.

    Args:
        options: whether activations are computed again, and the estimate; in the order in which they are preferred.
        estimated_for: samples at a time that the estimates were made for.
        batch_size: samples of a step on one worker.
        asked: the micro-batch that the recipe names; None leaves it open.
        room_gib: memory of the card.
    """
    for is_checkpointed, estimate in options:
        largest = min(batch_size, largest_micro_batch(estimate, estimated_for, USED_SHARE * room_gib))
        if largest >= (asked or 1):
            even = ceil(batch_size / ceil(batch_size / largest))  # parts of about one size
            return MemoryChoice(micro_batch_size=asked or even, is_checkpointed=is_checkpointed)
    return MemoryChoice(micro_batch_size=asked or 1, is_checkpointed=options[-1][0])


def largest_micro_batch(found: MemoryEstimate, micro_batch: int, room_gib: float) -> int:
    """Return how many samples at a time fit into so much memory; 0 where not one does.

    Args:
        found: of a micro-batch.
        micro_batch: samples that it was made for.
        room_gib: memory of the card.
    """
    of_samples = found.activations_gib + found.gradients_gib
    left = room_gib - (found.total_gib - of_samples)
    return max(0, int(left / (of_samples / micro_batch)))
