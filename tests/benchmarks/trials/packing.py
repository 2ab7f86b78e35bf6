"""Seconds of one step of one fine-tune, packed against alone, by pack size, micro-batch and width."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from tests.benchmarks.trials.workload import BACKBONE, table_of, trial_spec
from trainers.backbone.adapters import add_adapter
from trainers.backbone.backbone import Backbone, assemble_backbone, load_backbone
from trainers.prompts.encoder import example_from_row
from trainers.recipe import Recipe
from trainers.rows.encoded_samples import encode_samples
from trainers.rows.feeds import EncodedFeed
from trainers.training.loop import finetune
from trainers.training.packed_loop import Member, Pack

NUM_STEPS = 3
WIDTHS = (64, 256, 512)
MOST_WORK = 64 * 256**2  # fine-tunes x samples x width^2 of a step; cells beyond would take minutes each


def measure(say: Callable[[str], None], *, is_quick: bool) -> dict[str, Any]:
    """Ratios alone / packed; both sides of a cell take turns."""
    widths = WIDTHS[:1] if is_quick else WIDTHS
    cells = []
    for width in widths:
        backbone = _backbone(width)
        (subset,) = list(trial_spec(0).composition)[:1]
        rows = table_of(subset, "train").slice(0, 64).to_pylist()
        feed = EncodedFeed(backbone, encode_samples(backbone, [example_from_row(r) for r in rows], with_features=True))
        for micro_batch in (1, 4, 16):
            alone = []
            packed: dict[int, list[float]] = {1: [], 4: [], 16: []}
            for _ in range(1 if is_quick else 3):
                alone.append(_alone(backbone, feed, micro_batch))
                for size, found in packed.items():
                    if size * micro_batch * width**2 > MOST_WORK:
                        continue
                    found.append(_packed(backbone, feed, micro_batch, size))
            for size, found in packed.items():
                if not found:
                    say(f"width {width}, micro-batch {micro_batch}, K={size}: left out, it would take minutes")
                    continue
                ratios = [a / p for a, p in zip(alone, found, strict=True)]
                ratio = statistics.median(ratios)
                cells.append({"k": size, "micro_batch": micro_batch, "width": width, "ratio": round(ratio, 2)})
                alone_ms = 1000 * statistics.median(alone)
                say(
                    f"width {width}, micro-batch {micro_batch}, K={size}: alone {alone_ms:.1f} ms, "
                    f"packed {1000 * statistics.median(found):.1f} ms a step of one: {ratio:.2f} "
                    f"({min(ratios):.2f} to {max(ratios):.2f})"
                )
    return {"packing": cells}


def _backbone(width: int) -> Backbone:
    """The phantom's own, or a LLaVA of the same depth and another width with random weights."""
    own = load_backbone(BACKBONE)
    if width == 64:
        return own
    from transformers import LlavaForConditionalGeneration

    config = own.model.config
    config.text_config.hidden_size, config.text_config.intermediate_size = width, 3 * width
    config.text_config.head_dim = width // config.text_config.num_attention_heads
    torch.manual_seed(0)
    return assemble_backbone(LlavaForConditionalGeneration(config), own.processor, BACKBONE)


def _recipe(micro_batch: int) -> Recipe:
    return Recipe(num_steps=NUM_STEPS, batch_size=micro_batch)


def _alone(backbone: Backbone, feed: EncodedFeed, micro_batch: int) -> float:
    model = add_adapter(backbone, _recipe(micro_batch), seed=0)
    try:
        return finetune(model, feed, _recipe(micro_batch), seed=0).train_s / NUM_STEPS
    finally:
        model.unload()


def _packed(backbone: Backbone, feed: EncodedFeed, micro_batch: int, size: int) -> float:
    pack = Pack(backbone, [Member(recipe=_recipe(micro_batch), feed=feed, seed=i) for i in range(size)])
    started = time.monotonic()
    pack.advance(NUM_STEPS)
    return (time.monotonic() - started) / NUM_STEPS / size
