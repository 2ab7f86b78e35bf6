"""Speed of the phantom, each figure the median and range of five runs on one core."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pyarrow as pa
import pytest
import torch

from datasets_spec.phantom.demo import DEMO_ABILITIES, DEMO_CONTROLS, DEMO_SOURCES, DEMO_TARGETS
from datasets_spec.phantom.questions import all_keys, make_sample
from datasets_spec.phantom.write import write_phantom
from search.bench.phantom.arms import arms_of
from search.bench.phantom.rows import make_rows
from search.cli.init import PHANTOM_NUM_POOL, PHANTOM_NUM_TEST
from trainers.backbone.adapters import add_adapter
from trainers.backbone.backbone import load_backbone
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe
from trainers.rows.feeds import DirectFeed
from trainers.scoring.scorer import score_rows
from trainers.training.loop import finetune

pytestmark = pytest.mark.benchmark
NUM_RUNS = 5
NUM_IMAGES, NUM_QUESTIONS = 4_000, 600


def say(line: str) -> None:
    sys.stdout.write(f"\n{line}")


def measured(run: Callable[[], None]) -> tuple[float, float, float]:
    """CPU seconds of a run: median, least, most."""
    seconds = []
    for _ in range(NUM_RUNS):
        started = time.process_time()
        run()
        seconds.append(time.process_time() - started)
    return median(seconds), min(seconds), max(seconds)


def test_speed_of_the_phantom(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    keys = [key for key in all_keys() if key.ability == "none"]

    def generate() -> None:
        for index in range(NUM_IMAGES):
            make_sample(keys[index % len(keys)], seed=0, split="bench", index=index // len(keys))

    generate()  # layers are drawn once
    middle, least, most = measured(generate)
    rates = [NUM_IMAGES / s for s in (middle, most, least)]
    say(f"generation: {rates[0]:,.0f} images/s ({rates[1]:,.0f} to {rates[2]:,.0f})")

    subsets = (*DEMO_SOURCES, *DEMO_CONTROLS, *DEMO_TARGETS, *DEMO_ABILITIES)
    started = time.monotonic()
    write_phantom(tmp_path, subsets=subsets, num_pool=PHANTOM_NUM_POOL, num_test=PHANTOM_NUM_TEST)
    say(f"the demo's corpus on disk: {time.monotonic() - started:.1f} s ({len(subsets)} subsets)")

    backbone = load_backbone(BackboneSpec(device="cpu", dtype="float32"))
    sources = arms_of("mri-bone-staging", 0)["related"]
    rows = pa.concat_tables([make_rows(source, seed=0, split="train", num=240) for source in sources])

    def train() -> None:
        model = add_adapter(backbone, Recipe(), seed=0)
        finetune(model, DirectFeed(backbone.encoder, rows), Recipe(), seed=0)
        model.unload()

    middle, least, most = measured(train)
    say(f"fine-tune, six subsets of 240 samples: {middle:.1f} CPU-s ({least:.1f} to {most:.1f})")
    model = add_adapter(backbone, Recipe(), seed=0)
    for ability in ("", "-temporal", "-reasoning"):
        questions = make_rows(f"mri-bone-staging{ability}", seed=0, split="bench", num=NUM_QUESTIONS)

        def score(table: pa.Table = questions) -> None:
            score_rows(
                model,
                backbone.encoder,
                DirectFeed(backbone.encoder, table),
                eval_set="x",
                split="search",
                batch_size=100,
                generate=False,
            )

        rates = [NUM_QUESTIONS / s for s in measured(score)]
        say(f"scoring{ability or ' one image'}: {rates[0]:,.0f} questions/s ({rates[2]:,.0f} to {rates[1]:,.0f})")
