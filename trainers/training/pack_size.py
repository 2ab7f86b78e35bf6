"""How many fine-tunes to pack: measured on the device that they run on, never guessed."""

from __future__ import annotations

import time
from typing import Any

from trainers.backbone.backbone import Backbone
from trainers.backbone.memory import free_memory, is_out_of_memory
from trainers.recipe import Recipe
from trainers.rows.encoded_blocks import SampleRows
from trainers.rows.feeds import composition_feed
from trainers.rows.stored_rows import StoredRows
from trainers.training.loop import halved_micro_batch
from trainers.training.packed_loop import Member, Pack
from trainers.trial.spec import TrialSpec

NUM_STEPS = 3  # timed steps of a size; the first step of each is not counted
# A larger pack has to be this much faster: what one gains is paid with later answers to the search.
LEAST_GAIN = 1.05


def measure_pack_sizes(
    backbone: Backbone, rows: StoredRows | SampleRows, spec: TrialSpec, *, max_pack: int
) -> dict[str, Any]:
    """Time steps of packs of 1, 2, 4, ... copies of a fine-tune, until one is no faster or does not fit.

    Args:
        backbone: without an adapter.
        rows: with the fine-tune's training rows.
        spec: a fine-tune as the study has many of.
        max_pack: largest size tried.

    Returns:
        ``pack_size`` (the fastest by at least `LEAST_GAIN` over half of it); ``step_s``: seconds of one step of one
        member by size; ``micro_batch_size``: None, or, where even one fine-tune did not fit, the largest part of its
        micro-batch, halved and halved again, that did (1 if none). Then the pack size is 1. ``is_memory_short``:
        whether anything that was tried did not fit.

    Raises:
        Exception: whatever the rows or the model throw that is not for want of memory.
    """
    feed = composition_feed(rows, backbone, spec.composition)
    recipe = spec.recipe.model_copy(update={"num_steps": NUM_STEPS + 1})

    def step_of(size: int, recipe: Recipe) -> float | None:
        return _time_step(backbone, [Member(recipe=recipe, feed=feed, seed=i) for i in range(size)])

    while step_of(1, recipe) is None:  # the first steps of a process are slower: not counted
        smaller = halved_micro_batch(recipe)
        if smaller is None:
            return {"pack_size": 1, "step_s": {}, "micro_batch_size": 1, "is_memory_short": True}
        recipe = smaller
    was_cut = recipe.micro_batch_size != spec.recipe.micro_batch_size
    step_s: dict[int, float] = {}
    best, size = 1, 1
    is_memory_short = was_cut
    while size <= (1 if was_cut else max_pack):
        if (seconds := step_of(size, recipe)) is None:
            is_memory_short = True
            break
        step_s[size] = seconds
        if size > 1 and step_s[best] / seconds < LEAST_GAIN:
            break
        best, size = size, 2 * size
    return {
        "pack_size": best,
        "step_s": {str(size): seconds for size, seconds in step_s.items()},
        "micro_batch_size": recipe.micro_batch_size if was_cut else None,
        "is_memory_short": is_memory_short,
    }


def _time_step(backbone: Backbone, members: list[Member]) -> float | None:
    """Return seconds of one step of one member; None when the pack does not fit into memory."""
    try:
        return _timed_steps(backbone, members)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    free_memory(backbone.device)  # outside of `except`, which holds the failed step's tensors
    return None


def _timed_steps(backbone: Backbone, members: list[Member]) -> float:
    pack = Pack(backbone, members)
    pack.advance(1)
    times = []
    for _ in range(NUM_STEPS):
        if backbone.device.type == "cuda":
            import torch

            torch.cuda.synchronize(backbone.device)
        started = time.monotonic()
        pack.advance(1)
        times.append(time.monotonic() - started)
    return min(times) / len(members)
