"""How many fine-tunes to pack: measured on the device that they run on, never guessed."""

from __future__ import annotations

import time
from typing import Any

from trainers.backbone.backbone import Backbone
from trainers.rows.encoded_blocks import SampleRows
from trainers.rows.feeds import composition_feed
from trainers.rows.row_blocks import RowBlocks
from trainers.training.packed_loop import Member, Pack
from trainers.trial.failures import is_out_of_memory
from trainers.trial.spec import TrialSpec

NUM_STEPS = 3  # timed steps of a size; the first step of each is not counted
# A larger pack has to be this much faster: what one gains is paid with later answers to the search.
LEAST_GAIN = 1.05


def measure_pack_sizes(
    backbone: Backbone, rows: RowBlocks | SampleRows, spec: TrialSpec, *, max_pack: int
) -> dict[str, Any]:
    """Time steps of packs of 1, 2, 4, ... copies of a fine-tune, until one is no faster or does not fit.

    Args:
        backbone: without an adapter.
        rows: with the fine-tune's training rows.
        spec: a fine-tune as the study has many of.
        max_pack: largest size tried.

    Returns:
        ``pack_size`` (the fastest by at least `LEAST_GAIN` over half of it) and ``step_s``: seconds of one step of
        one member by size.
    """
    feed = composition_feed(rows, backbone, spec.composition)
    recipe = spec.recipe.model_copy(update={"num_steps": NUM_STEPS + 1})
    _time_step(backbone, [Member(recipe=recipe, feed=feed, seed=0)])  # the first steps of a process are slower
    step_s: dict[int, float] = {}
    best, size = 1, 1
    while size <= max_pack:
        try:
            step_s[size] = _time_step(backbone, [Member(recipe=recipe, feed=feed, seed=i) for i in range(size)])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            break
        if size > 1 and step_s[best] / step_s[size] < LEAST_GAIN:
            break
        best, size = size, 2 * size
    return {"pack_size": best, "step_s": {str(size): seconds for size, seconds in step_s.items()}}


def _time_step(backbone: Backbone, members: list[Member]) -> float:
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
