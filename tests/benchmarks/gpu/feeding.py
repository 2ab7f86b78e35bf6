"""How long a device waits for samples: eight JPEGs of a megapixel a step, through Qwen2-VL's own processor."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from tests.makers.families import FAMILIES, toy_row
from trainers.backbone.image_limits import limit_images
from trainers.executors.kept_memory import keep_freed_memory
from trainers.prompts.encoder import BatchEncoder
from trainers.rows.feeds import DirectFeed
from trainers.rows.lookahead import Lookahead

BATCH = 8


def waiting_shares(*, num_steps: int, step_s: float, side_px: int, num_threads: int) -> dict[str, Any]:
    """Let a device that sleeps take its batches, with samples prepared ahead and when they are asked for.

    Args:
        num_steps: that are counted; one before them is not.
        step_s: that the device takes.
        side_px: of an image.
        num_threads: that prepare.
    """
    keep_freed_memory()
    feed = jpeg_feed(side_px)
    found: dict[str, Any] = {"batch": BATCH, "step_s": step_s, "side_px": side_px, "num_threads": num_threads}
    started = time.perf_counter()
    feed.take(range(2))
    found["process_s_a_sample"] = round((time.perf_counter() - started) / 2, 3)
    order = [place % len(feed) for place in range((num_steps + 1) * BATCH)]
    ahead = Lookahead(feed, order, num_threads=num_threads)
    for name in ("ahead", "when asked"):
        waited = 0.0
        for step in range(num_steps + 1):
            started = time.perf_counter()
            samples = ahead.take(BATCH) if name == "ahead" else feed.take(order[step * BATCH : (step + 1) * BATCH])
            feed.training_inputs(samples)
            waited += (time.perf_counter() - started) if step else 0.0
            time.sleep(step_s)
        found[f"waiting_{name.replace(' ', '_')}"] = round(waited / (waited + num_steps * step_s), 3)
    return found


def jpeg_feed(side_px: int) -> DirectFeed:
    """Sixteen questions, each with its own JPEG."""
    processor = FAMILIES["qwen2_vl"]()[1]
    processor.image_processor.size = {"shortest_edge": 56 * 56, "longest_edge": 12_845_056}
    limit_images(processor, min_pixels=None, max_pixels=None)
    image_token = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    encoder = BatchEncoder(
        processor, image_token_id=image_token, max_tokens=None, device=torch.device("cpu"), dtype=torch.bfloat16
    )
    rows = [toy_row(i) | {"images": [_jpeg(i, side_px)]} for i in range(16)]
    return DirectFeed(encoder, pa.Table.from_pylist(rows))


def _jpeg(seed: int, side_px: int) -> bytes:
    """Smooth noise: about as many bytes as a scan of this size."""
    small = np.random.default_rng(seed).integers(0, 255, (side_px // 8, side_px // 8), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((side_px, side_px), Image.Resampling.BICUBIC).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()
