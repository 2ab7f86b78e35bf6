"""What three fine-tunes cost alone and packed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from search.bench.phantom.rows import make_rows
from trainers.backbone.backbone import Backbone
from trainers.prompts.encoder import example_from_row
from trainers.recipe import Recipe
from trainers.rows.encoded_samples import encode_samples, prompt_batch
from trainers.rows.feeds import EncodedFeed
from trainers.rows.kept_features import check_kept
from trainers.training.packed_loop import Member, Pack

SOURCES = ("ct-lung-staging", "xray-brain-staging", "xray-lung-staging")  # one a fine-tune
NUM_ROWS, BATCH = 16, 4


def measure(backbone: Backbone, num_steps: int, say: Callable[[str], None], *, with_features: bool) -> dict[str, float]:
    """Seconds of a step of one fine-tune, alone and in a pack of three, and how far both end from each other."""
    recipe = Recipe(learning_rate=1e-3, num_steps=num_steps, batch_size=BATCH, lora_rank=8)
    feeds = []
    started = time.monotonic()
    for source in SOURCES:
        rows = make_rows(source, seed=0, split="train", num=NUM_ROWS).to_pylist()
        examples = [example_from_row(row) for row in rows]
        samples = encode_samples(backbone, examples, with_features=with_features)
        if with_features:
            check_kept(backbone, examples[:BATCH], prompt_batch(backbone, samples[:BATCH]))
        feeds.append(EncodedFeed(backbone, samples))
    encode_s = (time.monotonic() - started) / (len(SOURCES) * NUM_ROWS)

    def trained(feeds_of_pack: list[Any], first_seed: int) -> tuple[float, list[float]]:
        members = [Member(recipe=recipe, feed=feed, seed=first_seed + i) for i, feed in enumerate(feeds_of_pack)]
        pack = Pack(backbone, members)
        losses = [0.0] * len(members)
        for _ in range(num_steps):
            pack.advance(1)
            losses = [member.loss for member in members]
        return sum(member.train_s for member in members) / len(members) / num_steps, losses

    alone = [trained([feed], seed) for seed, feed in enumerate(feeds)]
    packed_s, packed_losses = trained(feeds, 0)
    alone_s = sum(seconds for seconds, _ in alone) / len(alone)
    furthest = max(abs(one[1][0] - loss) for one, loss in zip(alone, packed_losses, strict=True))
    name = "features kept" if with_features else "pixels"
    say(
        f"{name}: {encode_s:.2f} s to encode a sample; a step of {BATCH} samples takes {alone_s:.2f} s alone and "
        f"{packed_s:.2f} s in a pack of three ({alone_s / packed_s:.2f}x); last losses differ by at most {furthest:.1e}"
    )
    return {
        "encode_s_a_sample": round(encode_s, 3), "step_alone_s": round(alone_s, 3),
        "step_packed_s": round(packed_s, 3), "packing": round(alone_s / packed_s, 2), "furthest_loss": furthest,
    }  # fmt: skip
